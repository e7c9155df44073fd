//! Memory use of this process, and the treatment of freed memory by the C allocator, which libtorch
//! uses on the CPU.
//!
//! By default glibc returns large freed blocks to the system, so each large tensor starts with page
//! faults. Keeping the blocks shortens a training step of a large network by a few per cent
//! (`docs/decisions.md`, "What happens to freed memory?").

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
    let line = status.lines().find(|l| l.starts_with(key))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
