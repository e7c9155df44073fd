//! Failure detection: which ranks are alive, and why others are not.
//!
//! | key | set by | meaning |
//! |---|---|---|
//! | `came/R` | rank R | it has reached the store |
//! | `left/R` | rank R | it ends; the value is the cause |
//! | `alarm` | the first rank that fails | all ranks must answer |
//! | `here/R` | a thread of rank R | the process is alive, whatever it is doing |
//! | `fell/R` | rank R | it has detected the failure too, and is not stuck elsewhere |
//! | `seen/R` | rank R | it has read the outcome, so the rank that serves the store may end |
//!
//! A collective only reports that a connection broke or that it timed out. The store has the
//! details, and answers within one or two seconds.

use crate::DistError;
use crate::ffi::Store;
use crate::place::Rendezvous;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Interval between two reads of the store: for the answering thread, and for a rank that waits for
/// answers.
const LISTEN: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(50);

/// Failure detection of one rank.
pub(crate) struct FailureDetector {
    store: Arc<Store>,
    place: Rendezvous,
    /// Maximum time to wait for answers.
    grace: Duration,
    /// Dropping it ends the answering thread.
    listener: Option<(Sender<()>, JoinHandle<()>)>,
}

impl FailureDetector {
    /// Starts to take part in failure detection.
    pub(crate) fn join(store: Arc<Store>, place: &Rendezvous, grace: Duration) -> Result<Self, String> {
        store.set(&format!("came/{}", place.rank), "")?;
        let (stop, stopped) = channel::<()>();
        let (answering, rank) = (store.clone(), place.rank);
        let listener = std::thread::spawn(move || {
            while stopped.recv_timeout(LISTEN) == Err(RecvTimeoutError::Timeout) {
                match answering.peek("alarm") {
                    Ok(None) => {}
                    Ok(Some(_)) => return drop(answering.set(&format!("here/{rank}"), "")),
                    Err(_) => return,
                }
            }
        });
        Ok(Self { store, place: place.clone(), grace, listener: Some((stop, listener)) })
    }

    /// Finds the cause of a failure; `reason` is the error of the collective.
    pub(crate) fn call(&self, reason: &str) -> DistError {
        let said = reason.to_owned();
        // On a thread, because a store whose server has stopped never answers.
        let asked = self.within(self.grace * 3 / 2, move |call, grace| call.ask(&said, grace));
        let Some(outcome) = asked else { return no_store(&self.place, "does not answer") };
        let Ok(outcome) = outcome else { return no_store(&self.place, "is gone") };
        // A rank that left said so at once; the others may come late to hear of it.
        let left = match &outcome {
            DistError::Failed { rank, .. } => Some(vec![*rank]),
            _ => None,
        };
        self.within(self.grace / 2, |call, grace| {
            let _ = call.store.set(&format!("seen/{}", call.place.rank), "");
            let gone = left.unwrap_or_else(|| call.without("here").unwrap_or_default());
            call.linger(grace, |waiting| waiting.iter().all(|rank| gone.contains(rank)));
        });
        outcome
    }

    /// Reports why this rank ends, and gives the others time to read it.
    pub(crate) fn leave(&self, cause: &str) {
        let cause = cause.to_owned();
        self.within(self.grace, move |call, grace| {
            let said = call.store.set(&format!("left/{}", call.place.rank), &cause);
            if said.and_then(|()| call.store.set("alarm", "")).is_ok() {
                call.linger(grace, <[usize]>::is_empty);
            }
        });
    }

    /// Runs `run` on the store for at most `time`.
    fn within<T: Send + 'static>(
        &self,
        time: Duration,
        run: impl FnOnce(&Call, Duration) -> T + Send + 'static,
    ) -> Option<T> {
        let call = Call { store: self.store.clone(), place: self.place.clone() };
        let (grace, (sender, receiver)) = (self.grace, channel());
        std::thread::spawn(move || sender.send(run(&call, grace)));
        receiver.recv_timeout(time).ok()
    }
}

impl Drop for FailureDetector {
    fn drop(&mut self) {
        if let Some((stop, listener)) = self.listener.take() {
            drop(stop);
            // A thread that is blocked by the store is abandoned.
            let until = Instant::now() + 2 * LISTEN;
            while !listener.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

fn no_store(place: &Rendezvous, what: &str) -> DistError {
    let reason = format!("the store at {} {what}", place.address());
    DistError::Lost { ranks: if place.served { "the launcher".into() } else { "rank 0".into() }, reason }
}

struct Call {
    store: Arc<Store>,
    place: Rendezvous,
}

impl Call {
    fn ask(&self, reason: &str, grace: Duration) -> Result<DistError, String> {
        let rank = self.place.rank;
        self.store.set("alarm", "")?;
        for key in ["here", "fell"] {
            self.store.set(&format!("{key}/{rank}"), "")?;
        }
        let until = Instant::now() + grace;
        loop {
            for other in self.others() {
                if let Some(cause) = self.store.peek(&format!("left/{other}"))? {
                    return Ok(DistError::Failed { rank: other, cause });
                }
            }
            let silent = self.without("here")?;
            let busy = self.without("fell")?;
            if busy.is_empty() || Instant::now() >= until {
                return self.verdict(&silent, &busy, reason);
            }
            // A missing rank is the cause, whatever the state of the others; but wait until every
            // rank has had time to answer.
            std::thread::sleep(LOOK);
        }
    }

    fn verdict(&self, silent: &[usize], busy: &[usize], reason: &str) -> Result<DistError, String> {
        let never = self.without("came")?;
        let lost = |ranks: &[usize], what: &str| {
            let reason = format!("{what} ({reason})");
            Ok(DistError::Lost { ranks: names(ranks), reason })
        };
        match () {
            () if !never.is_empty() => {
                let world_size = self.place.world_size;
                Ok(DistError::Absent { ranks: names(&never), world_size, reason: reason.into() })
            }
            () if !silent.is_empty() => lost(silent, "ended without a message, or no longer responds"),
            () if !busy.is_empty() => lost(busy, "alive, but did not come to exchange data"),
            () => Ok(DistError::Exchange { world_size: self.place.world_size, reason: reason.into() }),
        }
    }

    /// If this rank serves the store, waits until the others have read the outcome or the time is
    /// over. `enough` decides from the ranks that have not read it whether to stop waiting.
    fn linger(&self, time: Duration, enough: impl Fn(&[usize]) -> bool) {
        let until = Instant::now() + time;
        let serves = self.place.rank == 0 && !self.place.served;
        while serves && Instant::now() < until && !self.without("seen").is_ok_and(|waiting| enough(&waiting)) {
            std::thread::sleep(LOOK);
        }
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let rank = self.place.rank;
        (0..self.place.world_size).filter(move |other| *other != rank)
    }

    /// The other ranks that have not set this key.
    fn without(&self, key: &str) -> Result<Vec<usize>, String> {
        let mut ranks = Vec::new();
        for other in self.others() {
            if self.store.peek(&format!("{key}/{other}"))?.is_none() {
                ranks.push(other);
            }
        }
        Ok(ranks)
    }
}

fn names(ranks: &[usize]) -> String {
    let list = ranks.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    format!("rank{} {list}", if ranks.len() == 1 { "" } else { "s" })
}
