//! One input given to its reader, and what may be wrong with that.

use crate::kept;
use crate::memory::held;
use crate::target::Target;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The longest time for an input. It is that of the processor, because others work on the machine.
pub const LONGEST: Duration = Duration::from_secs(2);

/// Memory that any input may take, in bytes.
pub const FLOOR: usize = 64 << 20;

/// Memory that an input may take for each of its bytes, in bytes.
pub const FACTOR: usize = 4;

/// What a reader made of an input.
#[derive(Debug)]
pub struct Judged {
    /// Whether it was accepted.
    pub accepted: bool,
    /// Time of the processor.
    pub time: Duration,
    /// The most bytes held.
    pub held: usize,
    /// What is wrong, if anything.
    pub problem: Option<String>,
}

/// Reads an input within the limits.
pub fn judge(target: &Target, bytes: &[u8]) -> Judged {
    kept::keep(target.name, bytes);
    let (start, before) = (Instant::now(), processor());
    let (result, held) = held(|| catch_unwind(AssertUnwindSafe(|| (target.read)(bytes))));
    // A reader that waits uses no processor.
    let time = processor().saturating_sub(before).max(start.elapsed().saturating_sub(10 * LONGEST));
    kept::forget();
    let allowed = FLOOR + FACTOR * bytes.len();
    let problem = match &result {
        Err(payload) => Some(format!("panics: {}", text(&**payload))),
        Ok(_) if held > allowed => {
            Some(format!("holds {held} bytes for {}, at most {allowed} are allowed", bytes.len()))
        }
        Ok(_) if time > LONGEST => Some(format!("takes {:.1} s", time.as_secs_f64())),
        Ok(_) => None,
    };
    Judged { accepted: result.unwrap_or(false), time, held, problem }
}

fn text(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}

/// The time that this thread has used.
#[allow(unsafe_code, reason = "a call of the system")]
fn processor() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a valid value that outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
