//! Memory of this process: how much it uses, and how the C allocator, which libtorch uses on the CPU, treats freed memory.
//!
//! By default glibc takes every large block from the system and gives it back, so that each tensor of each step is made of fresh, zeroed pages.
//! Kept blocks are used again at once; a training step takes some per cent less time (`docs/benchmarks.md`).

/// Lets the allocator keep what is freed. To be called first thing in a program; does nothing where there is no glibc.
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
