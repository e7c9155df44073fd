//! Changes of an input: bits, bytes, pieces, ends, numbers, and words of the format.

use crate::random::Random;
use std::ops::Range;

/// The longest input, in bytes.
const LONGEST: usize = 1 << 15;

/// Bytes from the start in which headers lie.
const HEADER: usize = 64;

/// Sizes that overflow, are negative, or are larger than any file.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    i64::MAX as u64,
    u64::MAX,
];

/// Numbers as texts have them.
const TEXTS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "10",
    "255",
    "65536",
    "1e9",
    "1e400",
    "-0.0",
    "0.1",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "NaN",
];

/// Makes one to six changes.
pub(crate) fn mutated(mut bytes: Vec<u8>, seeds: &[Vec<u8>], words: &[&str], random: &mut Random) -> Vec<u8> {
    // Mostly few: an input with many changes fails at the first of them.
    let changes = 1 + random.below(3) + if random.below(4) == 0 { random.below(4) } else { 0 };
    for _ in 0..changes {
        change(&mut bytes, seeds, words, random);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str], random: &mut Random) {
    let near = if random.below(3) == 0 { bytes.len().min(HEADER) } else { bytes.len() };
    let at = random.below(near);
    let end = bytes.len().min(at + 1 + random.below(16));
    match random.below(16) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            // Once in most cases, and up to 128 times in a few.
            let most = 1 << random.below(8);
            let piece = bytes[at..end].repeat(1 + random.below(most));
            bytes.splice(at..at, piece);
        }
        3 => {
            let other = random.of(seeds);
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        4 => {
            let other = random.of(seeds);
            let from = random.below(other.len());
            let piece = other[from..other.len().min(from + 1 + random.below(64))].to_vec();
            let end = if random.below(2) == 0 { at } else { bytes.len().min(at + piece.len()) };
            bytes.splice(at..end, piece);
        }
        5 | 6 => number(bytes, at, random),
        7 => digits(bytes, at, random),
        13..=15 => token(bytes, at, (seeds, words), random),
        8 | 9 if !words.is_empty() => {
            let word = random.of(words).as_bytes();
            let end = if random.below(2) == 0 { at } else { bytes.len().min(at + word.len()) };
            bytes.splice(at..end, word.iter().copied());
        }
        10 => bytes[at..end].iter_mut().for_each(|byte| *byte = random.next() as u8),
        11 if at < bytes.len() => bytes[at] = random.next() as u8,
        _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        _ => bytes.push(random.next() as u8),
    }
}

/// Writes a number of 1, 2, 4 or 8 bytes in either order, or adds a little to the one that is
/// there.
fn number(bytes: &mut [u8], at: usize, random: &mut Random) {
    let width = 1 << random.below(4);
    let Some(place) = bytes.get_mut(at..at + width) else { return };
    let big = random.below(2) == 0;
    let value = if random.below(4) == 0 {
        let old = place
            .iter()
            .enumerate()
            .fold(0u64, |all, (k, byte)| all | u64::from(*byte) << (8 * if big { width - 1 - k } else { k }));
        old.wrapping_add(random.below(33) as u64).wrapping_sub(16)
    } else {
        *random.of(&NUMBERS)
    };
    match big {
        true => place.copy_from_slice(&value.to_be_bytes()[8 - width..]),
        false => place.copy_from_slice(&value.to_le_bytes()[..width]),
    }
}

/// Replaces the next name or number of a text by another one, so that its structure stays.
fn token(bytes: &mut Vec<u8>, at: usize, (seeds, words): (&[Vec<u8>], &[&str]), random: &mut Random) {
    let Some(place) = next_token(bytes, at) else { return };
    let new = match random.below(4) {
        0 if !words.is_empty() => random.of(words).as_bytes(),
        1 => {
            let other = random.of(seeds);
            let Some(range) = next_token(other, random.below(other.len())) else { return };
            &other[range]
        }
        _ => random.of(&TEXTS).as_bytes(),
    };
    let new = new.to_vec();
    bytes.splice(place, new);
}

/// The next run of bytes of names and numbers, from a place on.
fn next_token(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(byte);
    // The token that the place is in is passed over.
    let from = at + bytes.iter().skip(at).position(|byte| !inside(byte))?;
    let start = from + bytes.iter().skip(from).position(inside)?;
    let end = bytes.iter().skip(start).position(|byte| !inside(byte)).map_or(bytes.len(), |n| start + n);
    Some(start..end)
}

/// Replaces the next run of digits by another number.
fn digits(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let Some(start) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|place| place + at) else { return };
    let end = bytes.iter().skip(start).position(|byte| !byte.is_ascii_digit()).map_or(bytes.len(), |n| start + n);
    bytes.splice(start..end, random.of(&TEXTS).bytes());
}
