//! Calls public functions with bad input and collects panics.
//!
//! A call may return anything but must not panic, abort, or allocate more than [`LIMIT`] at once.
//! [`Calls::refuses`] also asks for an error of one line and at most 300 characters.
//!
//! ```
//! let mut calls = hostile::Calls::new("doctest");
//! calls.survives("parse", || "x".parse::<f64>());
//! calls.refuses("parse", || "x".parse::<f64>());
//! calls.finish(2);
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The largest single allocation that a call may make, in bytes.
pub const LIMIT: usize = 1 << 30;

/// The most characters of an error message, which is one line.
const LONGEST_MESSAGE: usize = 300;

thread_local! {
    static CALL: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Limited;

#[global_allocator]
static ALLOCATOR: Limited = Limited;

#[allow(unsafe_code, reason = "passes requests below the limit on to the system")]
// SAFETY: every request is the system allocator's, or fails by a null pointer as the trait allows.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LIMIT { too_much(layout.size()) } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LIMIT { too_much(layout.size()) } else { unsafe { System.alloc_zeroed(layout) } }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > LIMIT { too_much(size) } else { unsafe { System.realloc(pointer, layout, size) } }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Names the call, because what follows may be an abort.
#[allow(clippy::print_stderr, reason = "a test has no other way to tell")]
fn too_much(size: usize) -> *mut u8 {
    CALL.with(|call| {
        if let Ok(name) = call.try_borrow() {
            eprintln!("{name}: refused an allocation of {size} bytes");
        }
    });
    std::ptr::null_mut()
}

/// Calls with bad input to one crate or module.
#[derive(Debug)]
pub struct Calls {
    area: String,
    count: usize,
    problems: Vec<String>,
}

impl Calls {
    /// None yet.
    pub fn new(area: &str) -> Self {
        Self { area: area.into(), count: 0, problems: Vec::new() }
    }

    /// Calls, and returns the result unless the call panicked.
    pub fn survives<T>(&mut self, name: &str, call: impl FnOnce() -> T) -> Option<T> {
        self.count += 1;
        CALL.with(|current| *current.borrow_mut() = format!("{}: {name}", self.area));
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(result) => Some(result),
            Err(payload) => {
                let text = payload.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text");
                self.problems.push(format!("{name} panicked: {text}"));
                None
            }
        }
    }

    /// Calls, and demands an error with a short text.
    pub fn refuses<T, E: Display>(&mut self, name: &str, call: impl FnOnce() -> Result<T, E>) {
        match self.survives(name, call) {
            Some(Ok(_)) => self.problems.push(format!("{name} was accepted")),
            Some(Err(error)) => {
                let text = error.to_string();
                if text.contains('\n') || text.chars().count() > LONGEST_MESSAGE || text.is_empty() {
                    self.problems.push(format!("{name} has a message of more than one short line: {text}"));
                }
            }
            None => {}
        }
    }

    /// Calls, and demands a panic whose text has a part that the function's documentation
    /// announces.
    pub fn panics<T>(&mut self, name: &str, part: &str, call: impl FnOnce() -> T) {
        let before = self.problems.len();
        let result = self.survives(name, call);
        match self.problems.get(before) {
            Some(problem) if problem.contains(part) => self.problems.truncate(before),
            Some(_) => {}
            None if result.is_some() => self.problems.push(format!("{name} did not panic as documented")),
            None => {}
        }
    }

    /// Fails with all problems, or if fewer calls were made than announced.
    #[allow(clippy::panic, reason = "the assertion of a test")]
    pub fn finish(self, at_least: usize) {
        let Self { area, count, problems } = self;
        assert!(problems.is_empty(), "{area}: {} of {count} calls\n{}", problems.len(), problems.join("\n"));
        assert!(count >= at_least, "{area}: only {count} calls, not {at_least}");
    }
}
