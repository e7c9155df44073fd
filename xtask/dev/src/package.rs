//! `cargo xtask package`: makes an archive of the programs for machines that have libtorch and
//! nothing else of this workspace.

use anyhow::{Context, ensure};
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;
use fm_terminal::println;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask_shell::{TESTED, cargo, execute, output, root, target};
use xtask_shell::{ensure_libtorch, libtorch};

const PROGRAMS: [&str; 2] = ["cifar-train", "tabular-train"];
/// Directories in which the programs look for libtorch, relative to their own directory.
pub(crate) const RPATH: &str = "$ORIGIN/libtorch/lib:$ORIGIN/lib:$ORIGIN/../libtorch/lib";

#[derive(Debug, Args)]
pub(crate) struct PackageArgs {
    /// Directory for the archive.
    #[arg(long, value_name = "DIR", default_value = "target/package-archive")]
    out: PathBuf,
    /// Cargo profile of the programs.
    #[arg(long, default_value = "release")]
    profile: String,
}

pub(crate) fn run(args: &PackageArgs) -> anyhow::Result<()> {
    ensure_libtorch()?;
    // With the features of the tests, so that nothing that they built is built again.
    let mut build = cargo(&["build", "--profile", &args.profile, "--workspace", "--features", TESTED]);
    build.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    // The build scripts take the path of libtorch from this variable, instead of this machine's
    // path.
    execute(build.env("FM_RPATH", RPATH))?;
    let built = target().join(if args.profile == "dev" { "debug" } else { &args.profile });
    let name =
        format!("flow-matching-{}-{}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    let out = root().join(&args.out);
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let scratch = tempfile::tempdir_in(&out)?;
    let folder = scratch.path();
    for program in PROGRAMS {
        fs::copy(built.join(program), folder.join(program))
            .with_context(|| format!("{program} was not built; look at the output of cargo"))?;
    }
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(root().join(licence), folder.join(licence))?;
    }
    for (package, licence) in
        [("fm-models", "LICENSE-resnet20"), ("fm-data", "LICENSE-digits"), ("fm-data", "LICENSE-pbmc68k")]
    {
        fs::copy(root().join("crates").join(package).join("assets").join(licence), folder.join(licence))?;
    }
    fs::write(folder.join("README.md"), README)?;
    fs::write(folder.join("THIRD-PARTY.md"), third_party()?)?;
    let archive = out.join(format!("{name}.tar.gz"));
    pack(&archive, folder, &name)?;
    try_out(&archive, &name)?;
    let size = fs::metadata(&archive)?.len();
    println!(
        "{}: {:.1} MB; unpacked elsewhere, with libtorch beside it, its programs start, train and sample",
        archive.display(),
        size as f64 / 1e6
    );
    Ok(())
}

fn pack(archive: &Path, folder: &Path, name: &str) -> anyhow::Result<()> {
    let partial = archive.with_extension("partial");
    let file = fs::File::create(&partial).with_context(|| format!("cannot write {}", partial.display()))?;
    let mut tar = tar::Builder::new(GzEncoder::new(file, Compression::best()));
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all(name, folder)?;
    tar.into_inner()?.finish()?.sync_all()?;
    Ok(fs::rename(partial, archive)?)
}

/// All third-party crates in the programs, with their licences.
fn third_party() -> anyhow::Result<String> {
    let mut lines = BTreeSet::new();
    for program in PROGRAMS {
        let tree =
            output(&mut cargo(&["tree", "-p", program, "-e", "normal", "--prefix", "none", "--format", "{p}\t{l}"]))?;
        // Crates of this workspace are listed with their path.
        for line in tree.lines().filter(|line| !line.contains("(/") && !line.ends_with("(*)")) {
            let (package, licence) = line.split_once('\t').unwrap_or((line, ""));
            ensure!(!licence.trim().is_empty(), "{package} has no licence; leave it out or find out");
            lines.insert(format!("| {} | {} |", package.replace(" (proc-macro)", ""), licence.trim()));
        }
    }
    let table = lines.into_iter().collect::<Vec<_>>().join("\n");
    Ok(format!("# Third-party crates in these programs\n\n| crate | licence |\n|---|---|\n{table}\n"))
}

/// Unpacks the archive outside this workspace, puts libtorch next to it, and uses it as its README
/// describes.
fn try_out(archive: &Path, name: &str) -> anyhow::Result<()> {
    let place = tempfile::tempdir()?;
    let place = place.path();
    let tried = || -> anyhow::Result<()> {
        tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(archive)?)).unpack(place)?;
        let folder = place.join(name);
        let program = |words: &str| {
            let mut command = Command::new(folder.join(words.split(' ').next().unwrap_or_default()));
            command.args(words.split(' ').skip(1)).env_clear().env("HOME", place).current_dir(place);
            command
        };
        ensure!(
            output(&mut program("cifar-train --version")).is_err_and(|e| e.to_string().contains("libtorch")),
            "the program finds a libtorch that is not beside it: this machine's path is still in it; correct the rpath of the build"
        );
        let libtorch = std::env::var_os("LIBTORCH").map_or_else(libtorch, PathBuf::from);
        std::os::unix::fs::symlink(libtorch, folder.join("libtorch"))?;
        for words in [
            "cifar-train --version",
            "cifar-train train --preset quickstart --steps 2 --batch-size 4 --sample-every 0 --out run",
            "cifar-train sample --checkpoint run --num-samples 4 --num-steps 2 --out s.png",
            "tabular-train train --preset spiral --steps 20 --out spiral",
            "tabular-train sample --checkpoint spiral --num-samples 10 --out s.csv",
        ] {
            output(&mut program(words))?;
        }
        Ok(())
    };
    tried().context("the archive does not work")
}

const README: &str = "# Flow matching

`cifar-train` (images) and `tabular-train` (points and tables) train and sample flow-matching models; `--help` of each is the manual.

They need libtorch 2.11.0, which is not in this archive. They look for it in `libtorch/lib` beside them, in `lib` beside them, and in
`../libtorch/lib`. Any of these will do:

    ln -s /path/to/libtorch libtorch                                          # the official archive, unpacked
    ln -s $(python3 -c 'import torch, os; print(os.path.dirname(torch.__file__))') libtorch    # PyTorch 2.11 as pip installs it
    LD_LIBRARY_PATH=/path/to/libtorch/lib ./cifar-train --help

On a machine with CUDA and a libtorch built for it, `--device cuda` loads that half. Then:

    ./cifar-train train --preset quickstart --out run
    ./cifar-train sample --checkpoint run --class-grid --out grid.png

MIT or Apache-2.0, at your choice. THIRD-PARTY.md lists the crates inside. The ResNet-20 inside was trained by Y. Idelbayev (LICENSE-resnet20); the
digits are by E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0 (LICENSE-digits); the gene counts are from scanpy's pbmc68k
(LICENSE-pbmc68k).
";
