//! Safe wrappers of the shim's functions: they own the pointers and turn error texts into errors.

#![allow(unsafe_code, reason = "the one module that speaks to C++")]

use libloading::os::unix::{Library, RTLD_NOW};
use std::error::Error;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{NonNull, null_mut};
use tch::Tensor;

#[repr(C)]
struct RawStore(c_void);
#[repr(C)]
struct RawGroup(c_void);
#[repr(C)]
struct RawWork(c_void);

unsafe extern "C" {
    fn fm_store_open(
        host: *const c_char,
        port: u16,
        server: bool,
        world: usize,
        timeout: i64,
        prefix: *const c_char,
        out: *mut *mut RawStore,
    ) -> *mut c_char;
    fn fm_store_close(store: *mut RawStore);
    fn fm_store_set(store: *mut RawStore, key: *const c_char, data: *const u8, length: usize) -> *mut c_char;
    fn fm_store_peek(
        store: *mut RawStore,
        key: *const c_char,
        found: *mut bool,
        data: *mut *mut u8,
        length: *mut usize,
    ) -> *mut c_char;
    fn fm_gloo_open(
        store: *mut RawStore,
        rank: c_int,
        size: c_int,
        timeout: i64,
        interface: *const c_char,
        host: *const c_char,
        out: *mut *mut RawGroup,
    ) -> *mut c_char;
    fn fm_group_close(group: *mut RawGroup);
    fn fm_all_reduce(group: *mut RawGroup, tensor: *mut c_void, largest: bool, out: *mut *mut RawWork) -> *mut c_char;
    fn fm_broadcast(group: *mut RawGroup, tensor: *mut c_void, root: c_int, out: *mut *mut RawWork) -> *mut c_char;
    fn fm_all_gather(
        group: *mut RawGroup,
        tensor: *mut c_void,
        gathered: *mut c_void,
        out: *mut *mut RawWork,
    ) -> *mut c_char;
    fn fm_barrier(group: *mut RawGroup, out: *mut *mut RawWork) -> *mut c_char;
    fn fm_wait(work: *mut RawWork) -> *mut c_char;
    fn free(pointer: *mut c_void);
}

/// The text of a C++ exception.
pub(crate) type Thrown = String;

/// Takes ownership of a text of the shim.
fn checked(text: *mut c_char) -> Result<(), Thrown> {
    if text.is_null() {
        return Ok(());
    }
    // SAFETY: the shim returns a string that it has allocated and no longer owns.
    let words = unsafe {
        let words = CStr::from_ptr(text).to_string_lossy().into_owned();
        free(text.cast());
        words
    };
    Err(words)
}

fn made<T>(call: impl FnOnce(*mut *mut T) -> *mut c_char) -> Result<NonNull<T>, Thrown> {
    let mut out = null_mut();
    checked(call(&raw mut out))?;
    NonNull::new(out).ok_or_else(|| "nothing was made".into())
}

/// The message of the dynamic loader, which is in the source of its error.
fn said(error: &libloading::Error) -> Thrown {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

fn c_text(text: &str) -> Result<CString, Thrown> {
    CString::new(text).map_err(|_| format!("{text:?} has a zero byte"))
}

fn pointer(tensor: &Tensor) -> *mut c_void {
    tensor.as_ptr().cast_mut().cast()
}

/// A key-value store that all ranks share, served by one of them.
pub(crate) struct Store(NonNull<RawStore>);

// SAFETY: a c10d store serialises its calls with a lock.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    pub(crate) fn open(
        (host, port): (&str, u16),
        server: bool,
        world: usize,
        timeout_ms: i64,
        prefix: &str,
    ) -> Result<Self, Thrown> {
        let (host, prefix) = (c_text(host)?, c_text(prefix)?);
        // SAFETY: the strings outlive the call.
        let open = |out| unsafe { fm_store_open(host.as_ptr(), port, server, world, timeout_ms, prefix.as_ptr(), out) };
        made(open).map(Self)
    }

    pub(crate) fn set(&self, key: &str, value: &str) -> Result<(), Thrown> {
        let key = c_text(key)?;
        // SAFETY: key and value outlive the call.
        checked(unsafe { fm_store_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr(), value.len()) })
    }

    /// The value of a key, if it is set.
    pub(crate) fn peek(&self, key: &str) -> Result<Option<String>, Thrown> {
        let key = c_text(key)?;
        let (mut found, mut data, mut length) = (false, null_mut(), 0);
        // SAFETY: the output variables outlive the call; the returned bytes belong to us.
        unsafe {
            checked(fm_store_peek(self.0.as_ptr(), key.as_ptr(), &raw mut found, &raw mut data, &raw mut length))?;
            if !found || data.is_null() {
                return Ok(None);
            }
            let text = String::from_utf8_lossy(std::slice::from_raw_parts(data, length)).into_owned();
            free(data.cast());
            Ok(Some(text))
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the pointer is owned, and freed once.
        unsafe { fm_store_close(self.0.as_ptr()) }
    }
}

/// A backend of c10d.
pub(crate) struct Group(NonNull<RawGroup>);

// SAFETY: a backend may be used from any thread, by one thread at a time.
unsafe impl Send for Group {}

impl Group {
    /// Gloo over a network interface, over the address of a host, or over the address of this
    /// machine's host name.
    pub(crate) fn gloo(
        store: &Store,
        (rank, size): (usize, usize),
        timeout_ms: i64,
        interface: Option<&str>,
        host: Option<&str>,
    ) -> Result<Self, Thrown> {
        let interface = interface.map(c_text).transpose()?;
        let host = host.map(c_text).transpose()?;
        let text = |t: &Option<CString>| t.as_ref().map_or(std::ptr::null(), |t| t.as_ptr());
        // SAFETY: the store and the strings outlive the call; the group keeps its own reference to
        // the store.
        let open = |out| unsafe {
            fm_gloo_open(store.0.as_ptr(), rank as c_int, size as c_int, timeout_ms, text(&interface), text(&host), out)
        };
        made(open).map(Self)
    }

    /// NCCL, from the shared object that was built for it; libtorch_cuda must be loaded first.
    pub(crate) fn nccl(
        library: &Path,
        store: &Store,
        (rank, size): (usize, usize),
        timeout_ms: i64,
    ) -> Result<Self, Thrown> {
        type Open = unsafe extern "C" fn(*mut RawStore, c_int, c_int, i64, *mut *mut RawGroup) -> *mut c_char;
        // SAFETY: the shared object is ours, and its function has this type. It is never unloaded,
        // because the group's code is in it. All symbols are resolved now: a missing one would
        // otherwise end the process later.
        let open: Open = unsafe {
            let library = Library::open(Some(library), RTLD_NOW).map_err(|e| said(&e))?;
            let open = *library.get::<Open>(b"fm_nccl_open\0").map_err(|e| said(&e))?;
            std::mem::forget(library);
            open
        };
        // SAFETY: as for Gloo.
        made(|out| unsafe { open(store.0.as_ptr(), rank as c_int, size as c_int, timeout_ms, out) }).map(Self)
    }

    pub(crate) fn all_reduce(&self, tensor: &Tensor, largest: bool) -> Result<Work, Thrown> {
        // SAFETY: the tensor outlives the call, and the work holds its own reference.
        made(|out| unsafe { fm_all_reduce(self.0.as_ptr(), pointer(tensor), largest, out) }).map(Work)
    }

    pub(crate) fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<Work, Thrown> {
        // SAFETY: as above.
        made(|out| unsafe { fm_broadcast(self.0.as_ptr(), pointer(tensor), root as c_int, out) }).map(Work)
    }

    pub(crate) fn all_gather(&self, tensor: &Tensor, gathered: &Tensor) -> Result<Work, Thrown> {
        // SAFETY: as above.
        made(|out| unsafe { fm_all_gather(self.0.as_ptr(), pointer(tensor), pointer(gathered), out) }).map(Work)
    }

    pub(crate) fn barrier(&self) -> Result<Work, Thrown> {
        // SAFETY: the group is alive.
        made(|out| unsafe { fm_barrier(self.0.as_ptr(), out) }).map(Work)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: the pointer is owned, and freed once.
        unsafe { fm_group_close(self.0.as_ptr()) }
    }
}

/// A collective in progress.
pub(crate) struct Work(NonNull<RawWork>);

// SAFETY: c10d's work may be waited for on any thread.
unsafe impl Send for Work {}

impl Work {
    pub(crate) fn wait(self) -> Result<(), Thrown> {
        let work = std::mem::ManuallyDrop::new(self);
        // SAFETY: the pointer is owned, and passed on here.
        checked(unsafe { fm_wait(work.0.as_ptr()) })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: the pointer is owned; waiting frees it. The result is dropped, because nothing
        // can handle an error here.
        let _ = checked(unsafe { fm_wait(self.0.as_ptr()) });
    }
}
