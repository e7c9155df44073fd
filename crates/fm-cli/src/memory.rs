//! Memory use of this process, and the treatment of freed memory by the C allocator, which libtorch
//! uses on the CPU.
//!
//! By default glibc returns large freed blocks to the system, so each large tensor starts with page
//! faults. Keeping the blocks shortens a training step of a large network by a few per cent
//! (`docs/decisions.md`, "What happens to freed memory?").

use anyhow::ensure;

/// Makes the allocator keep freed memory. Call it first in a program; without glibc it does
/// nothing.
pub fn keep_freed() {
    // SAFETY: mallopt only sets numbers of the allocator, before other threads exist.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Fails if values of these counts and size in bytes do not fit into memory, before they are
/// allocated: an allocation that fails ends a program without a message.
///
/// # Errors
/// The memory that `what` needs and that there is; the remedy is less of `flag`.
pub fn ensure_fits(what: &str, counts: &[usize], bytes: usize, flag: &str) -> anyhow::Result<()> {
    let needed = counts.iter().fold(bytes as u128, |product, count| product.saturating_mul(*count as u128));
    let there = available().map_or(u128::from(u64::MAX), u128::from);
    let gib = |bytes: u128| bytes as f64 / f64::from(1 << 30);
    ensure!(
        needed <= there,
        "cannot hold {what}: they take {:.1} GiB, and {:.1} GiB are free; give a smaller {flag}",
        gib(needed),
        gib(there)
    );
    Ok(())
}

/// Copies of a row's values that exist at once, in f32: noise and data, made, packed and on the
/// device, of this batch and the next, and x_t, target, prediction and error.
const COPIES: usize = 12;
/// Further bytes of a row: its time, the one-hot bins of times, its number, its class, each made,
/// packed and on the device, of this batch and the next.
const BESIDE: usize = 640;

/// As [`ensure_fits`], for the arrays of a batch that exist at once.
///
/// # Errors
/// As [`ensure_fits`].
pub fn ensure_batch_fits(rows: usize, dim: usize) -> anyhow::Result<()> {
    let row = dim.saturating_mul(COPIES * size_of::<f32>()).saturating_add(BESIDE);
    ensure_fits("a batch", &[rows], row, "--batch-size")
}

/// As [`ensure_fits`], for the values that a network stores for the backward pass of `rows` rows;
/// a step takes more.
///
/// # Errors
/// As [`ensure_fits`].
pub fn ensure_step_fits(rows: usize, activations: i64) -> anyhow::Result<()> {
    let stored = usize::try_from(activations).unwrap_or(usize::MAX);
    ensure_fits("a training step", &[rows, stored], size_of::<f32>(), "--batch-size, or a --micro-batch-size")
}

/// As [`ensure_fits`], for a network that is trained: weights, gradient, two moments, a copy and
/// the averages, in f32.
///
/// # Errors
/// As [`ensure_fits`].
pub fn ensure_network_fits(parameters: i64, averages: usize) -> anyhow::Result<()> {
    let parameters = usize::try_from(parameters).unwrap_or(usize::MAX);
    let less = if averages > 1 { "network, or fewer averages (--ema-decay, --ema-sigma)" } else { "network" };
    let vectors = averages.saturating_add(5);
    ensure_fits("the network and its training", &[parameters, vectors], size_of::<f32>(), less)
}

/// Memory that this process can still allocate: the least of what the machine has free and what the
/// limits of its process and its group leave.
fn available() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = text.lines().find_map(|line| kibibytes(line.strip_prefix("MemAvailable:")?));
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let words = limits.lines().find_map(|line| line.strip_prefix("Max address space"));
    let space = words.and_then(|words| words.split_whitespace().next()?.parse::<u64>().ok());
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    let space = space.map(|most| most.saturating_sub(status("VmSize:").unwrap_or(0)));
    [free, space, group].into_iter().flatten().min()
}

fn kibibytes(text: &str) -> Option<u64> {
    Some(text.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Peak resident memory of this process in bytes, where the system reports it.
pub fn peak_memory() -> Option<u64> {
    status("VmHWM:")
}

/// Resident memory of this process in bytes, where the system reports it.
pub fn resident_memory() -> Option<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| kibibytes(line.strip_prefix(key)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_before_it_is_allocated() {
        assert!(ensure_fits("rows", &[1000, 1000], 4, "--rows").is_ok());
        for counts in [[usize::MAX, 2], [usize::MAX, usize::MAX], [1 << 30, 1 << 20]] {
            let error = ensure_fits("the rows", &counts, 4, "--rows").unwrap_err().to_string();
            assert!(error.contains("GiB are free; give a smaller --rows"), "{error}");
        }
        assert!(ensure_batch_fits(1 << 14, 3072).is_ok() && ensure_batch_fits(1 << 40, 1).is_err());
        assert!(ensure_network_fits(1 << 20, 1).is_ok() && ensure_network_fits(1 << 20, 1 << 30).is_err());
        assert!(ensure_step_fits(64, 1 << 16).is_ok() && ensure_step_fits(64, i64::MAX).is_err());
    }
}
