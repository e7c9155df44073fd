//! The input that a thread reads, written to a file if the process ends meanwhile: by an abort, or
//! a stack overflow, which Rust's runtime follows by an abort.

use std::cell::Cell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

thread_local! {
    /// Name of the target, and the input.
    static INPUT: Cell<Option<(&'static str, *const u8, usize)>> = const { Cell::new(None) };
}

/// The file that is written.
static FILE: OnceLock<CString> = OnceLock::new();

/// Remembers an input, which must stay where it is until [`forget`] is called.
pub(crate) fn keep(target: &'static str, bytes: &[u8]) {
    INPUT.set(Some((target, bytes.as_ptr(), bytes.len())));
}

/// Forgets the input.
pub(crate) fn forget() {
    INPUT.set(None);
}

/// From now on, an abort writes the input of its thread to this file.
pub(crate) fn write_on_abort(file: &Path) {
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else { return };
    if FILE.set(name).is_err() {
        return;
    }
    let handler: extern "C" fn(libc::c_int) = write;
    #[allow(unsafe_code, reason = "a call of the system")]
    // SAFETY: the handler calls functions that are allowed in handlers, and nothing else.
    unsafe {
        libc::signal(libc::SIGABRT, handler as libc::sighandler_t);
    }
}

#[allow(unsafe_code, reason = "calls of the system")]
extern "C" fn write(_: libc::c_int) {
    let (Some(file), Some((target, bytes, length))) = (FILE.get(), INPUT.try_with(Cell::get).ok().flatten()) else {
        return;
    };
    // SAFETY: the input outlives the call of its reader, in which this thread is.
    unsafe {
        let open = libc::open(file.as_ptr(), libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC, 0o644);
        libc::write(open, bytes.cast(), length);
        let name = file.as_bytes();
        for part in ["\nabort in the target ".as_bytes(), target.as_bytes(), b"; its input is ", name, b"\n"] {
            libc::write(2, part.as_ptr().cast(), part.len());
        }
    }
}
