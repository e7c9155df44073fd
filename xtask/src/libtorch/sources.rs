//! Obtains one source: the result is a set of files on this machine, not yet in their final
//! directory.

use super::archive::unpack;
use super::parts::{Parts, wanted};
use super::place::scratch;
use super::plan::{Source, Variant};
use anyhow::{Context, ensure};
use fm_fetch::download::download;
use fm_terminal::println;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask_shell::libtorch as home;
use xtask_shell::{execute, ours, output, python};

pub(crate) fn obtain(source: &Source, variant: Variant) -> anyhow::Result<Parts> {
    match source {
        Source::Env => {
            let path = std::env::var_os("LIBTORCH").map(PathBuf::from).filter(|p| *p != home());
            directory(&path.context("LIBTORCH is not set")?)
        }
        Source::Python => installed_pytorch(variant),
        Source::Archive(url) => {
            let name = url.rsplit('/').next().unwrap_or("libtorch.zip");
            let file = scratch()?.join(name);
            download(url, &file)?;
            unpack_all(&[file], variant)
        }
        Source::Index { requirements, tag } => from_index(requirements, tag, variant),
        Source::Path(path) if path.is_dir() => directory(path),
        Source::Path(path) => unpack_all(std::slice::from_ref(path), variant),
    }
}

/// A directory with the layout of libtorch's archives: include/, lib/ and build-version.
fn directory(path: &Path) -> anyhow::Result<Parts> {
    let path = path.canonicalize().with_context(|| format!("{} is not there", path.display()))?;
    let version = read_version(&path).with_context(|| format!("{} is not a libtorch", path.display()))?;
    let (include, libs) = (path.join("include"), vec![path.join("lib")]);
    Ok(Parts { version, include, libs, cuda_headers: Vec::new(), borrowed: true, checked: false })
}

/// The version in `build-version`, or in the headers, which every PyTorch includes.
fn read_version(path: &Path) -> anyhow::Result<String> {
    if let Ok(text) = fs::read_to_string(path.join("build-version")) {
        return Ok(text.trim().split('+').next().unwrap_or_default().to_owned());
    }
    let header = path.join("include/torch/headeronly/version.h");
    let text = fs::read_to_string(&header)
        .with_context(|| format!("it has neither build-version nor {}", header.display()))?;
    let number = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(&format!("#define TORCH_VERSION_{name} ")));
        line.map(|v| v.trim().to_owned()).with_context(|| format!("{} lacks TORCH_VERSION_{name}", header.display()))
    };
    Ok(format!("{}.{}.{}", number("MAJOR")?, number("MINOR")?, number("PATCH")?))
}

fn installed_pytorch(variant: Variant) -> anyhow::Result<Parts> {
    let script =
        "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')";
    let found = output(Command::new(python()?).args(["-c", script]))?;
    ensure!(!found.trim().is_empty(), "python3 has no PyTorch");
    let torch = PathBuf::from(found.trim());
    let version = read_version(&torch)?;
    let mut libs = vec![torch.join("lib")];
    // PyTorch's CUDA wheels store NVIDIA's libraries in the directory next to it.
    let nvidia = torch.with_file_name("nvidia");
    libs.extend(folders(&nvidia, "lib"));
    if let Variant::Cuda(_) = variant {
        ensure!(libs[0].join("libtorch_cuda.so").exists(), "the installed PyTorch is a CPU build");
    }
    let cuda_headers = folders(&nvidia, "include");
    Ok(Parts { version, include: torch.join("include"), libs, cuda_headers, borrowed: true, checked: false })
}

/// All folders with this name below `root`, at most two levels deep.
fn folders(root: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|e| e.path().join(name)).filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

fn from_index(requirements: &[String], tag: &str, variant: Variant) -> anyhow::Result<Parts> {
    let wheels = scratch()?.join("wheels");
    fs::create_dir_all(&wheels)?;
    let mut pip = Command::new(python()?);
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    // A fixed Python version, so that every machine gets the same file.
    pip.args(["--python-version", "3.12", "--implementation", "cp", "--dest"]).arg(&wheels);
    for tag in tags(tag) {
        pip.args(["--platform", &tag]);
    }
    if !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        pip.args(["--quiet", "--progress-bar", "off"]);
    }
    println!("  downloading with pip: {}", requirements.join(" "));
    execute(pip.args(requirements)).context("pip could not download the wheels")?;
    let mut files: Vec<PathBuf> = fs::read_dir(&wheels)?.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|f| f.extension().is_some_and(|e| e == "whl"));
    files.sort();
    unpack_all(&files, variant)
}

/// The tags under which wheels for a platform are published; pip matches each literally.
fn tags(tag: &str) -> Vec<String> {
    let Some(machine) = tag.strip_prefix("manylinux_2_28_") else { return vec![tag.into()] };
    let older = ["_2_28", "_2_27", "_2_26", "_2_25", "_2_24", "_2_18", "_2_17", "2014"];
    older.iter().map(|v| format!("manylinux{v}_{machine}")).collect()
}

/// Unpacks the needed files of archives and wheels.
fn unpack_all(files: &[PathBuf], variant: Variant) -> anyhow::Result<Parts> {
    let into = scratch()?.join("unpacked");
    ours::empty(&into)?;
    let mut checked = true;
    for file in files {
        println!("  unpacking {}", file.file_name().unwrap_or_default().to_string_lossy());
        let unpacked = unpack(file, &into, |name| keep(name, variant));
        checked &= unpacked.with_context(|| format!("cannot unpack {}", file.display()))?;
    }
    let base = ["torch", "libtorch"].map(|n| into.join(n)).into_iter().find(|p| p.join("lib").is_dir());
    let base = base.context("there is no torch/lib or libtorch/lib in it")?;
    let mut libs = vec![base.join("lib")];
    libs.extend(folders(&into.join("nvidia"), "lib"));
    let cuda_headers = folders(&into.join("nvidia"), "include");
    Ok(Parts {
        version: read_version(&base)?,
        include: base.join("include"),
        libs,
        cuda_headers,
        borrowed: false,
        checked,
    })
}

fn keep(name: &Path, variant: Variant) -> bool {
    let text = name.to_string_lossy();
    let file = name.file_name().unwrap_or_default().to_string_lossy();
    let inside =
        |folder: &str| text.starts_with(&format!("torch/{folder}")) || text.starts_with(&format!("libtorch/{folder}"));
    inside("include/")
        || inside("build-version")
        || (text.contains("/lib/") && wanted(&file, variant).is_some())
        || (variant != Variant::Cpu && cuda_header(&text))
}

/// Whether a CUDA header belongs to the C interfaces or is included by them.
fn cuda_header(path: &str) -> bool {
    let Some((_, inside)) = path.strip_prefix("nvidia/").and_then(|rest| rest.split_once("/include/")) else {
        return false;
    };
    !inside.contains('/') || inside.starts_with("crt/") || inside.starts_with("nv/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_cuda_come_along_with_its_libraries_only() {
        let kept = |variant| {
            ["cu13/include/cuda.h", "nccl/include/nccl.h", "cu13/include/crt/a.h", "cu13/include/cub/b.h"]
                .map(|name| keep(&Path::new("nvidia").join(name), variant))
        };
        assert_eq!(kept(Variant::Cuda(130)), [true, true, true, false]);
        assert_eq!(kept(Variant::Cpu), [false; 4]);
    }

    #[test]
    fn a_foreign_directory_is_refused_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        assert!(format!("{:#}", directory(dir.path()).unwrap_err()).contains("is not a libtorch"));
        fs::write(dir.path().join("build-version"), "2.9.1+cpu\n").unwrap();
        assert_eq!(directory(dir.path()).unwrap().version, "2.9.1");
    }
}
