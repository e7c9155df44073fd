//! Downloads with progress bar and resumption; a file is either complete or absent.

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// Downloads `url` to `path` through `path.part`, which a later call continues.
///
/// # Errors
/// A server that is not reached or refuses, a transfer that breaks off, and a full disk.
pub fn download(url: &str, path: &Path) -> anyhow::Result<()> {
    let part = path.with_extension("part");
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let have = fs::metadata(&part).map_or(0, |m| m.len());
    let agent = ureq::Agent::config_builder()
        .timeout_connect(Some(std::time::Duration::from_secs(10)))
        .http_status_as_error(false)
        .build()
        .new_agent();
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let mut response = request.call().with_context(|| format!("cannot reach {url}"))?;
    let status = response.status().as_u16();
    let resumed = match status {
        206 => true,
        200 => false,
        // The partial file is already complete: nothing is left to request.
        416 if have > 0 => return finish(&part, path),
        other => bail!("{url} answered {other}"),
    };
    let start = if resumed { have } else { 0 };
    let total =
        response.headers().get("Content-Length").and_then(|v| v.to_str().ok()?.parse::<u64>().ok()).map(|n| n + start);
    let mut file = OpenOptions::new().create(true).append(resumed).write(true).truncate(!resumed).open(&part)?;
    let bar = progress(total, start);
    copy(&mut response.body_mut().with_config().limit(u64::MAX).reader(), &mut file, &bar).with_context(|| {
        format!("the download of {url} broke off; run the command again to go on from {}", part.display())
    })?;
    bar.finish_and_clear();
    let got = fs::metadata(&part)?.len();
    ensure!(
        total.is_none_or(|t| t == got),
        "the download of {url} broke off at {got} bytes; run the command again to go on"
    );
    finish(&part, path)
}

fn finish(part: &Path, path: &Path) -> anyhow::Result<()> {
    File::open(part)?.sync_all()?;
    fs::rename(part, path).with_context(|| format!("cannot move {} into place", path.display()))
}

/// A progress bar in bytes; hidden if stderr is not a terminal.
pub fn progress(total: Option<u64>, start: u64) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_position(start);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  ETA {eta}") {
        bar.set_style(style);
    }
    bar
}

fn copy(from: &mut impl Read, to: &mut impl Write, bar: &ProgressBar) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return to.flush();
        }
        to.write_all(&buffer[..n])?;
        bar.inc(n as u64);
    }
}

/// Opens a plain file: a pipe or a device may never end.
///
/// # Errors
/// Anything else, and a file that cannot be read.
fn open_plain(path: &Path) -> anyhow::Result<File> {
    let cannot = || format!("cannot read {}; give a file", path.display());
    ensure!(fs::metadata(path).with_context(cannot)?.is_file(), "{} is not a plain file; give one", path.display());
    File::open(path).with_context(cannot)
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// A file that cannot be read.
pub fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut file = open_plain(path)?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    /// Serves `body` `times` times; the first answer is cut off halfway. Returns the address and
    /// the requested ranges.
    fn server(body: Vec<u8>, times: usize) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file.zip", listener.local_addr().unwrap());
        let handle = std::thread::spawn(move || {
            let mut ranges = Vec::new();
            for turn in 0..times {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
                let range = head.iter().find_map(|l| l.to_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
                let from: usize = range.as_deref().map_or(0, |r| r.trim_end_matches('-').parse().unwrap());
                let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
                let rest = &body[from..];
                let sent = if turn == 0 { &rest[..rest.len() / 2] } else { rest };
                let header =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len());
                stream.write_all(header.as_bytes()).unwrap();
                stream.write_all(sent).unwrap();
                ranges.push(range.unwrap_or_default());
            }
            ranges
        });
        (url, handle)
    }

    #[test]
    fn an_interrupted_download_goes_on_where_it_stopped() {
        let body: Vec<u8> = (0..200_000u32).map(|i| (i * 31 % 251) as u8).collect();
        let (url, handle) = server(body.clone(), 2);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.zip");
        let error = download(&url, &path).unwrap_err();
        assert!(format!("{error:#}").contains("run the command again"), "{error:#}");
        assert!(!path.exists(), "a half file must not take the final name");
        download(&url, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), body);
        assert_eq!(handle.join().unwrap(), ["", "100000-"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the .part must be gone");
    }

    #[test]
    fn nobody_there_is_an_error_that_names_the_address() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        drop(listener);
        let dir = tempfile::tempdir().unwrap();
        assert!(format!("{:#}", download(&url, &dir.path().join("x")).unwrap_err()).contains(&url));
    }
}
