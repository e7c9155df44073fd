//! Files of features that `cifar-train evaluate` keeps.

use crate::scratch;
use crate::target::{Finish, Target};
use fm_evaluation::rows::Rows;

/// Bytes per row.
const WIDTH: usize = 8;

pub(super) const ROWS: Target = Target {
    name: "feature-cache",
    seeds: || vec![repaired(&[0; 2 * (WIDTH + 4)]), repaired(&(0..36).collect::<Vec<u8>>())],
    words: &[],
    finish: Finish::Repair(repaired),
    read,
};

/// Repairs the checksums of rows.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (k, record) in bytes.chunks_exact_mut(WIDTH + 4).enumerate() {
        let crc = crc32fast::hash(&[&(k as u64).to_le_bytes(), &record[..WIDTH]].concat());
        record[WIDTH..].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

fn read(bytes: &[u8]) -> bool {
    let path = scratch::file("features.f32", bytes);
    let Ok((mut rows, found)) = Rows::open(path, WIDTH) else { return false };
    assert!(rows.count() <= found && found <= bytes.len() / (WIDTH + 4));
    let count = rows.count();
    assert!(rows.floats(0, count).is_ok_and(|values| values.dim() == (count, WIDTH / 4)));
    assert!(rows.append(count, &[7; WIDTH]).is_ok() && rows.doubles(count + 1).is_ok());
    count > 0
}
