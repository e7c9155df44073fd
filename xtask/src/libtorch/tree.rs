//! The `libtorch/` directory: created completely or not at all, with a manifest of its content.
//!
//! `lib/` contains the CPU half, which programs link against. The CUDA half is in `lib/cuda/`,
//! where the linker does not find it; a program loads it when a GPU is requested. So one binary
//! runs on both.

use super::parts::{Parts, wanted};
use super::place::VERSION;
use super::plan::Variant;
use anyhow::{Context, ensure};
use fm_fetch::download::sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use xtask_shell::ours;

/// Content and origin of a `libtorch/` directory.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: String,
    pub(crate) variant: String,
    pub(crate) source: String,
    /// Size and SHA-256 of each library.
    pub(crate) files: BTreeMap<String, (u64, String)>,
}

const MANIFEST: &str = "manifest.json";

/// Creates `home` from the parts: first under a temporary name, then renamed.
pub(crate) fn install(home: &Path, parts: &Parts, variant: Variant, source: &str) -> anyhow::Result<Manifest> {
    if home.exists() {
        claim(home)?;
    }
    let (partial, old) = (home.with_extension("partial"), home.with_extension("old"));
    ours::empty(&partial)?;
    let made = build(&partial, parts, variant, source);
    if made.is_err() {
        ours::remove(&partial)?;
    }
    let manifest = made?;
    ours::remove(&old)?;
    if home.exists() {
        fs::rename(home, &old)?;
    }
    fs::rename(&partial, home).with_context(|| format!("cannot move libtorch to {}", home.display()))?;
    ours::remove(&old)?;
    Ok(manifest)
}

fn build(into: &Path, parts: &Parts, variant: Variant, source: &str) -> anyhow::Result<Manifest> {
    fs::create_dir_all(into.join("lib"))?;
    place(&parts.include, &into.join("include"), parts.borrowed)?;
    let mut files = BTreeMap::new();
    for folder in &parts.libs {
        for path in libraries(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(part) = wanted(&name, variant) else { continue };
            let key = format!("{part}/{name}");
            let target = into.join(&key);
            fs::create_dir_all(target.parent().unwrap_or(into))?;
            place(&path, &target, parts.borrowed)?;
            files.insert(key, (fs::metadata(&target)?.len(), sha256(&target)?));
        }
    }
    for needed in ["libtorch_cpu", "libc10"] {
        ensure!(files.keys().any(|k| k.starts_with(&format!("lib/{needed}."))), "it has no {needed}");
    }
    if let Variant::Cuda(_) = variant {
        headers(&parts.cuda_headers, &into.join("cuda-include"), parts.borrowed)?;
        ensure!(files.contains_key("lib/cuda/libtorch_cuda.so"), "it has no libtorch_cuda.so");
    }
    if cfg!(target_os = "linux") {
        // The library for `-ltorch`: only the CPU half, whatever other libraries exist.
        fs::write(into.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n")?;
    }
    fs::write(into.join("build-version"), format!("{VERSION}\n"))?;
    let manifest = Manifest { version: VERSION.into(), variant: variant.to_string(), source: source.into(), files };
    fs::write(into.join(MANIFEST), serde_json::to_string_pretty(&manifest)?)?;
    Ok(manifest)
}

/// Merges several folders of headers.
fn headers(folders: &[PathBuf], into: &Path, borrowed: bool) -> anyhow::Result<()> {
    fs::create_dir_all(into)?;
    for folder in folders {
        for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let entry = entry?;
            let target = into.join(entry.file_name());
            if !target.exists() {
                place(&entry.path(), &target, borrowed)?;
            }
        }
    }
    Ok(())
}

fn libraries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|e| Ok(e?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|p| p.is_file());
    paths.sort();
    Ok(paths)
}

fn place(from: &Path, to: &Path, borrowed: bool) -> anyhow::Result<()> {
    let done = if borrowed { symlink(from, to) } else { fs::rename(from, to) };
    done.with_context(|| format!("cannot bring {} to {}", from.display(), to.display()))
}

/// Marks an installation as ours: earlier versions wrote a manifest and no marker.
fn claim(home: &Path) -> anyhow::Result<()> {
    let manifest = || serde_json::from_str::<Manifest>(&fs::read_to_string(home.join(MANIFEST)).ok()?).ok();
    if home.join(ours::MARKER).exists() || manifest().is_none() {
        return ours::claim(home);
    }
    fs::write(home.join(ours::MARKER), "").with_context(|| format!("cannot write into {}", home.display()))
}

/// The manifest of a complete installation: the right version, and every file present with its
/// size.
pub(crate) fn installed(home: &Path) -> anyhow::Result<Manifest> {
    let text = fs::read_to_string(home.join(MANIFEST)).with_context(|| format!("no libtorch in {}", home.display()))?;
    let manifest: Manifest = serde_json::from_str(&text).context("its manifest does not read")?;
    ensure!(manifest.version == VERSION, "it is {}, this project needs {VERSION}", manifest.version);
    for (name, (bytes, _)) in &manifest.files {
        let size = fs::metadata(home.join(name)).with_context(|| format!("{name} is missing"))?.len();
        ensure!(size == *bytes, "{name} has {size} bytes instead of {bytes}");
    }
    Ok(manifest)
}

/// Compares every library with its recorded hash.
pub(crate) fn verify(home: &Path) -> anyhow::Result<Manifest> {
    let manifest = installed(home)?;
    for (name, (_, hash)) in &manifest.files {
        ensure!(sha256(&home.join(name))? == *hash, "{name} has changed since it was fetched");
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(dir: &Path, names: &[&str]) -> Parts {
        fs::create_dir_all(dir.join("include")).unwrap();
        fs::create_dir_all(dir.join("lib")).unwrap();
        fs::write(dir.join("include/nccl.h"), "").unwrap();
        names.iter().for_each(|n| fs::write(dir.join("lib").join(n), n).unwrap());
        Parts {
            version: VERSION.into(),
            include: dir.join("include"),
            libs: vec![dir.join("lib")],
            cuda_headers: vec![dir.join("include")],
            borrowed: true,
            checked: false,
        }
    }

    #[test]
    fn the_cpu_half_is_linked_and_the_cuda_half_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "libtorch_cpu.so",
            "libc10.so",
            "libtorch.so",
            "libtorch_cuda.so",
            "libc10_cuda.so",
            "libcudart.so.13",
            "libcublas.so.13",
            "libtorch_python.so",
            "notes.txt",
        ];
        let parts = parts(&dir.path().join("src"), &names);
        let home = dir.path().join("libtorch");
        let cpu = install(&home, &parts, Variant::Cpu, "a test").unwrap();
        assert_eq!(
            cpu.files.keys().collect::<Vec<_>>(),
            ["lib/libc10.so", "lib/libcudart.so.13", "lib/libtorch_cpu.so"]
        );
        assert_eq!(fs::read_to_string(home.join("lib/libtorch.so")).unwrap(), "INPUT(-ltorch_cpu)\n");
        let cuda = install(&home, &parts, Variant::Cuda(130), "a test").unwrap();
        for name in ["lib/cuda/libtorch_cuda.so", "lib/cuda/libc10_cuda.so", "lib/cuda/libcublas.so.13"] {
            assert!(cuda.files.contains_key(name), "{name}");
        }
        assert!(home.join("cuda-include/nccl.h").exists());
        assert!(!home.join("lib/libtorch_cuda.so").exists() && verify(&home).is_ok());
    }

    #[test]
    fn damage_is_noticed_and_a_failed_install_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("libtorch");
        let good = parts(&dir.path().join("good"), &["libtorch_cpu.so", "libc10.so"]);
        install(&home, &good, Variant::Cpu, "a test").unwrap();
        let poor = parts(&dir.path().join("poor"), &["libc10.so"]);
        assert!(install(&home, &poor, Variant::Cpu, "a test").unwrap_err().to_string().contains("libtorch_cpu"));
        assert!(installed(&home).is_ok() && !home.with_extension("partial").exists());
        fs::write(dir.path().join("good/lib/libc10.so"), "tampered!").unwrap();
        assert!(verify(&home).is_err());
        fs::remove_file(dir.path().join("good/lib/libc10.so")).unwrap();
        assert!(installed(&home).unwrap_err().to_string().contains("libc10.so is missing"));
    }

    #[test]
    fn somebody_elses_directory_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("libtorch");
        let good = parts(&dir.path().join("good"), &["libtorch_cpu.so", "libc10.so"]);
        for name in ["libtorch", "libtorch.partial", "libtorch.old"] {
            let theirs = dir.path().join(name);
            fs::create_dir(&theirs).unwrap();
            fs::write(theirs.join("manifest.json"), "{\"name\": \"my web page\"}").unwrap();
            let error = install(&home, &good, Variant::Cpu, "a test").unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("move it away"), "{error}");
            assert!(theirs.join("manifest.json").exists());
            fs::remove_file(theirs.join("manifest.json")).unwrap();
            fs::remove_dir(&theirs).unwrap();
        }
    }

    #[test]
    fn an_installation_of_an_earlier_version_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("libtorch");
        let good = parts(&dir.path().join("good"), &["libtorch_cpu.so", "libc10.so"]);
        install(&home, &good, Variant::Cpu, "a test").unwrap();
        fs::remove_file(home.join(ours::MARKER)).unwrap();
        install(&home, &good, Variant::Cpu, "again").unwrap();
        assert_eq!(installed(&home).unwrap().source, "again");
        assert!(!home.with_extension("old").exists());
    }
}
