//! Packing, and repair of checksums.

use flate2::{Compression, write::GzEncoder};
use std::io::Write;

/// Compresses with gzip.
#[allow(clippy::expect_used, reason = "nothing fails in memory")]
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector");
    encoder.finish().expect("a vector")
}

/// Repairs the checksums of a PNG's chunks.
pub(crate) fn png(bytes: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (bytes.to_vec(), 8);
    while let Some(length) = u32_be(&bytes, at) {
        let Some(end) = at.checked_add(8 + length as usize).filter(|end| end + 4 <= bytes.len()) else { break };
        let crc = crc32fast::hash(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
        at = end + 4;
    }
    bytes
}

/// Repairs the checksums of the entries of a zip archive that are not compressed.
pub(crate) fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(end) = bytes.windows(4).rposition(|w| w == b"PK\x05\x06") else { return bytes };
    let Some(mut at) = u32_le(&bytes, end + 16).map(|at| at as usize) else { return bytes };
    while bytes.get(at..).is_some_and(|rest| rest.starts_with(b"PK\x01\x02")) {
        let entry = (u16_le(&bytes, at + 10), u32_le(&bytes, at + 20), u32_le(&bytes, at + 42));
        let (Some(method), Some(size), Some(local)) = entry else { break };
        let local = local as usize;
        let lengths = (u16_le(&bytes, local.saturating_add(26)), u16_le(&bytes, local.saturating_add(28)));
        let (Some(name), Some(extra)) = lengths else { break };
        let start = local + 30 + usize::from(name) + usize::from(extra);
        if let Some(data) = bytes.get(start..start.saturating_add(size as usize)).filter(|_| method == 0) {
            let crc = crc32fast::hash(data).to_le_bytes();
            bytes[local + 14..local + 18].copy_from_slice(&crc);
            bytes[at + 16..at + 20].copy_from_slice(&crc);
        }
        let (Some(name), Some(extra), Some(comment)) =
            (u16_le(&bytes, at + 28), u16_le(&bytes, at + 30), u16_le(&bytes, at + 32))
        else {
            break;
        };
        at += 46 + usize::from(name) + usize::from(extra) + usize::from(comment);
    }
    bytes
}

/// Repairs the checksums of the headers of a tar archive, and compresses it.
pub(crate) fn tar_gz(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for header in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    gzip(&bytes)
}

/// Adds or repairs the checksum of a JSON text of several lines, as checkpoints have it.
#[cfg(feature = "tch")]
pub(crate) fn checked_json(bytes: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let text = String::from_utf8_lossy(bytes);
    let Some(lines) = text.strip_prefix("{\n") else { return bytes.to_vec() };
    let first = lines.split_once('\n').filter(|(line, _)| line.starts_with("  \"sha256\": \""));
    let rest = first.map_or(lines, |(_, rest)| rest);
    let hash: String = Sha256::digest(format!("{{\n{rest}")).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{\n  \"sha256\": \"{hash}\",\n{rest}").into_bytes()
}

/// Puts a header in front of 64 bytes of values, with its length: the layout of safetensors.
#[cfg(feature = "tch")]
pub(crate) fn safetensors(header: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, &[0; 64]].concat()
}

fn u16_le(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u32_be(bytes: &[u8], at: usize) -> Option<u32> {
    u32_le(bytes, at).map(u32::swap_bytes)
}
