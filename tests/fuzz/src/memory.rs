//! The bytes that a thread holds, counted by the allocator of this crate's programs and tests.
//!
//! What C++ libraries allocate is not counted, and neither are other threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The most that a thread may hold, in bytes. A larger request fails, which most readers follow by
/// an abort.
const MOST: isize = 4 << 30;

thread_local! {
    /// Bytes that this thread holds, and the most that it held or asked for.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts a change; returns whether the thread may hold that much.
fn count(bytes: isize) -> bool {
    // Nothing is counted while a thread ends.
    HELD.try_with(|held| {
        let (now, most) = held.get();
        let next = now.saturating_add(bytes);
        let allowed = bytes <= 0 || next <= MOST;
        held.set((if allowed { next } else { now }, most.max(next)));
        allowed
    })
    .unwrap_or(true)
}

#[allow(unsafe_code, reason = "passes requests on to the system")]
// SAFETY: every request is the system allocator's, or fails by a null pointer as the trait allows.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if count(layout.size() as isize) { unsafe { System.alloc(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if count(layout.size() as isize) { unsafe { System.alloc_zeroed(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block can exist at once.
        if !count(size as isize) {
            return std::ptr::null_mut();
        }
        count(-(layout.size() as isize));
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Calls, and returns the most bytes that the call held on this thread.
pub(crate) fn held<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = call();
    (result, usize::try_from(HELD.get().1 - before).unwrap_or(0))
}
