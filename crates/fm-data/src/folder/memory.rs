//! Memory for a set of images, checked before any image is read.

use super::decode::refused;
use crate::DataError;
use std::path::Path;

/// An empty buffer for a number of images of 3 x `size` x `size` bytes.
///
/// # Errors
/// More bytes than the system has available.
pub(super) fn reserve(folder: &Path, images: usize, size: u32) -> Result<Vec<u8>, DataError> {
    reserve_of(folder, images, size, available())
}

fn reserve_of(folder: &Path, images: usize, size: u32, available: Option<u64>) -> Result<Vec<u8>, DataError> {
    let bytes = (images as u128).saturating_mul(3 * u128::from(size).pow(2));
    let mut pixels = Vec::new();
    let fits = available.is_none_or(|most| bytes <= u128::from(most));
    if fits && usize::try_from(bytes).is_ok_and(|bytes| pixels.try_reserve_exact(bytes).is_ok()) {
        return Ok(pixels);
    }
    let gib = |bytes: f64| format!("{:.1} GiB", bytes / f64::from(1 << 30));
    let free = available.map_or(String::new(), |most| format!(", and {} are available", gib(most as f64)));
    let problem = format!("its {images} images of {size} x {size} take {} of memory{free}", gib(bytes as f64));
    Err(refused(folder, problem, "give a smaller image size, or a folder with fewer images"))
}

/// Available memory in bytes, including what can be swapped out, if the system reports it.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(kib(&text, "MemAvailable:")?.saturating_add(kib(&text, "SwapFree:").unwrap_or(0)).saturating_mul(1024))
}

fn kib(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_beyond_memory_are_errors_with_their_size() {
        let refuse =
            |images, size, available| reserve_of("photos".as_ref(), images, size, available).unwrap_err().to_string();
        let text = refuse(1 << 20, 1024, Some(1 << 30));
        assert!(text.contains("take 3072.0 GiB of memory, and 1.0 GiB are available; give a smaller"), "{text}");
        assert!(refuse(2, 10, Some(599)).contains("2 images"));
        assert!(refuse(usize::MAX, u32::MAX, None).chars().count() <= 300);
        assert_eq!(reserve_of("photos".as_ref(), 2, 10, Some(600)).unwrap().capacity(), 600);
    }

    #[test]
    fn fields_of_the_system_are_found() {
        let text = "MemTotal:  9 kB\nMemAvailable:   22 kB\nSwapFree: x kB\n";
        assert_eq!((kib(text, "MemAvailable:"), kib(text, "SwapFree:"), kib(text, "No:")), (Some(22), None, None));
    }
}
