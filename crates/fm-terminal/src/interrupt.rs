//! Ctrl-C, SIGTERM and SIGHUP (a closed terminal).
//!
//! A signal that was ignored when the program started stays ignored: `nohup` works, and so do
//! background jobs of shells that ignore Ctrl-C for them.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Calls `handle` with the number of each signal, on a thread of its own.
///
/// # Errors
/// A thread or handler that the system refuses.
fn on_signal(mut handle: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !ignored(*signal)))?;
    let thread = std::thread::Builder::new().name("signals".into());
    thread.spawn(move || signals.forever().for_each(&mut handle)).map(|_| ())
}

/// Whether this process ignores a signal.
fn ignored(signal: i32) -> bool {
    // SAFETY: without a new action, sigaction only writes the present one to `action`.
    #[allow(unsafe_code)]
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// The count of signals so far, updated as they arrive. A closed terminal sends SIGHUP more than
/// once (the kernel and the shell do), so it counts only once.
///
/// # Errors
/// A handler that cannot be installed.
pub fn count() -> io::Result<Arc<AtomicUsize>> {
    let count = Arc::new(AtomicUsize::new(0));
    let raised = count.clone();
    on_signal(move |signal| {
        if signal != SIGHUP || raised.load(Ordering::SeqCst) == 0 {
            raised.fetch_add(1, Ordering::SeqCst);
        }
    })?;
    Ok(count)
}

/// The work that stops in order at a signal; without any, a signal ends the program at once.
static WORK: Mutex<Option<(Arc<AtomicBool>, &str)>> = Mutex::new(None);

/// A piece of work that stops at the first signal and keeps what it has; the second Ctrl-C or
/// SIGTERM ends the program at once, with exit code 130. After the value is dropped, the first one
/// does.
#[derive(Debug)]
pub struct Interruptible {
    flag: Arc<AtomicBool>,
}

impl Interruptible {
    /// Starts such work; `notice` is printed at the first signal.
    ///
    /// # Errors
    /// A handler that cannot be installed.
    pub fn start(notice: &'static str) -> io::Result<Self> {
        static INSTALLED: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
        let work = Self { flag: Arc::default() };
        *WORK.lock().unwrap_or_else(PoisonError::into_inner) = Some((work.flag.clone(), notice));
        let installed = INSTALLED.get_or_init(|| on_signal(handle).map_err(|e| e.kind()));
        installed.map_err(io::Error::from)?;
        Ok(work)
    }

    /// Set by the first signal.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.flag.clone()
    }

    /// Whether a signal has arrived.
    pub fn raised(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }
}

impl Drop for Interruptible {
    fn drop(&mut self) {
        *WORK.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn handle(signal: i32) {
    let work = WORK.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match work.map(|(flag, notice)| (flag.swap(true, Ordering::SeqCst), notice)) {
        Some((false, notice)) => crate::eprintln!("\n{notice}"),
        Some((true, _)) if signal == SIGHUP => {}
        // Other threads may be anywhere in libtorch, so no destructors run.
        _ => signal_hook::low_level::exit(128 + SIGINT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_hook::low_level::raise;
    use std::time::{Duration, Instant};

    fn until(mut reached: impl FnMut() -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !reached() {
            assert!(Instant::now() < end);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// All signals in one test, because they belong to the process.
    #[test]
    fn signals_are_counted_and_raise_the_flag() {
        let counted = count().unwrap();
        let work = Interruptible::start("stopping").unwrap();
        assert!(!work.raised());
        raise(SIGHUP).unwrap();
        until(|| work.raised() && counted.load(Ordering::SeqCst) == 1);
        // The second one changes nothing, and does not end this process.
        raise(SIGHUP).unwrap();
        raise(SIGHUP).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(counted.load(Ordering::SeqCst), 1);
        assert!(!ignored(SIGINT));
    }
}
