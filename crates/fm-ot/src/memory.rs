//! The memory that one call may take, checked before anything is allocated.
//!
//! A problem of n x m points needs matrices of n x m f64: the cost, and up to two more inside a
//! solver. 100,000 rows on each side are 75 GiB per matrix, which an operating system may promise
//! and not have. Every matrix of this crate goes through one check: the matrices that a call holds
//! at once, 8 bytes per entry, may have at most [`limit`] bytes together. The limit does not depend
//! on the machine: it is [`DEFAULT_LIMIT`] unless [`set_limit`] changes it.
//!
//! | call | matrices |
//! |---|---|
//! | a cost | 1 |
//! | exact plan between equal masses | 2, with the cost |
//! | any other plan | 3, with the cost |
//!
//! ```
//! use fm_ot::{OtError, memory};
//! assert_eq!(memory::limit(), 8 << 30);
//! let many = fm_ot::ndarray::Array2::<f32>::zeros((100_000, 1));
//! let error = fm_ot::pair(many.view(), many.view()).unwrap_err();
//! assert!(matches!(error, OtError::Memory { rows: 100_000, bytes: 160_000_000_000, .. }));
//! assert!(error.to_string().contains("149.0 GiB"));
//! ```

use crate::OtError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The limit of a program that sets none: 8 GiB.
pub const DEFAULT_LIMIT: u64 = 8 << 30;

/// Number of entries that every machine can allocate.
const SMALL: usize = 1 << 22;

static LIMIT: AtomicU64 = AtomicU64::new(DEFAULT_LIMIT);

/// The bytes that the matrices of one call may have together.
pub fn limit() -> u64 {
    LIMIT.load(Relaxed)
}

/// Changes the limit of this process, for all threads and all later calls. A limit above the memory
/// of the machine may end in an abort.
pub fn set_limit(bytes: u64) {
    LIMIT.store(bytes, Relaxed);
}

/// Fails unless this many f64 matrices of a shape are within the limit, and one of them can be
/// allocated; ndarray would abort the program.
pub(crate) fn check((rows, columns): (usize, usize), matrices: usize) -> Result<(), OtError> {
    let entries = (rows as u128) * (columns as u128);
    let bytes = entries.saturating_mul(8 * matrices as u128);
    let refused = OtError::Memory { rows, columns, bytes: u64::try_from(bytes).unwrap_or(u64::MAX), limit: limit() };
    match usize::try_from(entries) {
        Ok(entries) if bytes <= u128::from(limit()) => {
            let free = entries <= SMALL || Vec::<f64>::new().try_reserve_exact(entries).is_ok();
            if free { Ok(()) } else { Err(refused) }
        }
        _ => Err(refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_limit_is_refused_with_its_size() {
        assert!([(0, usize::MAX), (2000, 2000), (3000, 3000)].into_iter().all(|shape| check(shape, 3).is_ok()));
        for (rows, columns) in [(usize::MAX, 2), (usize::MAX / 16, 1), (1 << 31, 1 << 31), (usize::MAX, usize::MAX)] {
            assert!(matches!(check((rows, columns), 3), Err(OtError::Memory { .. })), "{rows} x {columns}");
        }
        // 2^15 x 2^15 entries are exactly the limit once, and beyond it twice.
        assert!(check((1 << 15, (1 << 15) + 1), 1).is_err() && check((1 << 15, 1 << 15), 2).is_err());
        let text = check((100_000, 100_000), 1).unwrap_err().to_string();
        assert!(text.contains("74.5 GiB") && text.contains("8.0 GiB") && text.contains("100000 x 100000"), "{text}");
    }
}
