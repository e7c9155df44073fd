//! Started processes, each with a process group of its own: a rank may be a script that runs the
//! program.
//!
//! The number of a process belongs to others once the process has been waited for and its group is
//! empty. So the first process of a group is waited for last: as long as it is not, signals to
//! its group reach only what it has started.

#![allow(unsafe_code, reason = "waitid and kill")]

use std::fs;
use std::mem::MaybeUninit;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Times between the looks at the processes, and until what does not end is killed or given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Time between looks.
    pub(crate) look: Duration,
    /// Time that processes have to end by themselves after one has failed.
    pub(crate) end: Duration,
    /// Time after which killed processes are no longer waited for.
    pub(crate) killed: Duration,
}

struct Rank {
    number: u32,
    child: Child,
    ended: bool,
}

/// What is left of the groups is killed when this value is dropped, unless all of them ended in
/// order.
#[derive(Default)]
pub(crate) struct Ranks {
    all: Vec<Rank>,
    in_order: bool,
}

impl Ranks {
    pub(crate) fn add(&mut self, number: u32, child: Child) {
        self.all.push(Rank { number, child, ended: false });
    }

    /// Waits for all processes, and passes Ctrl-C on: `interrupts` counts those since the launch
    /// began. Returns the place of the first one that failed, if any. The processes still have
    /// their numbers until [`end`](Self::end).
    pub(crate) fn wait(&mut self, interrupts: &AtomicUsize, patience: Patience) -> Option<usize> {
        let (mut first, mut sent): (Option<usize>, _) = (None, 0);
        let (mut until, mut given_up): (Option<Instant>, Option<Instant>) = (None, None);
        loop {
            for (k, rank) in self.all.iter_mut().enumerate().filter(|(_, rank)| !rank.ended) {
                let Some(success) = ended(&rank.child) else { continue };
                rank.ended = true;
                if !success && first.is_none() {
                    first = Some(k);
                    until = Some(Instant::now() + patience.end);
                }
            }
            if interrupts.load(Ordering::SeqCst) > sent {
                sent += 1;
                // Not SIGINT, which ranks ignore if they were started in the background.
                self.signal(libc::SIGTERM);
            }
            let running = self.all.iter().any(|rank| !rank.ended);
            if !running && !((first.is_some() || sent > 0) && self.alive()) {
                break;
            }
            let now = Instant::now();
            if !running && until.is_none() {
                until = Some(now + patience.end);
            }
            if until.is_some_and(|until| now > until) {
                self.signal(libc::SIGKILL);
                if now > *given_up.get_or_insert(now + patience.killed) {
                    break;
                }
            }
            std::thread::sleep(patience.look);
        }
        self.in_order = first.is_none() && sent == 0;
        first
    }

    /// Ends all processes, unless they have ended in order, and gives up their numbers. Returns the
    /// rank and the status of each that has ended.
    pub(crate) fn end(&mut self) -> Vec<(u32, Option<ExitStatus>)> {
        if !self.in_order {
            self.signal(libc::SIGKILL);
        }
        // A process that does not end, in spite of that, hangs in the kernel.
        let until = Instant::now() + Duration::from_secs(5);
        let status = |mut rank: Rank| loop {
            match rank.child.try_wait() {
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
                ended => break (rank.number, ended.ok().flatten()),
            }
        };
        self.all.drain(..).map(status).collect()
    }

    /// Whether a process is left in a group, other than those that have ended and were not waited
    /// for: their parents may never do so.
    fn alive(&self) -> bool {
        let groups: Vec<u32> = self.all.iter().map(|rank| rank.child.id()).collect();
        members().iter().any(|(group, state)| groups.contains(group) && !matches!(state, 'Z' | 'X'))
    }

    fn signal(&self, which: i32) {
        for group in self.all.iter().filter_map(|rank| i32::try_from(rank.child.id()).ok()) {
            // SAFETY: kill takes numbers. A group that has ended is no failure.
            unsafe { libc::kill(-group, which) };
        }
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether a process has ended, and with success. It is not waited for, so its number stays its.
fn ended(child: &Child) -> Option<bool> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: waitid writes to `info`, which stays zero if the process runs.
    let (called, info) = unsafe {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        (libc::waitid(libc::P_PID, child.id(), info.as_mut_ptr(), flags), info.assume_init())
    };
    if called != 0 {
        // Nothing is known of a process that is not ours.
        return Some(false);
    }
    // SAFETY: the fields of a child's end, or zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    (pid != 0).then_some(info.si_code == libc::CLD_EXITED && status == 0)
}

/// The process groups of all processes, with their states.
fn members() -> Vec<(u32, char)> {
    if cfg!(target_os = "linux") {
        let stats = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path().join("stat"));
        return stats.filter_map(|path| member(&fs::read_to_string(path).ok()?)).collect();
    }
    let listed = std::process::Command::new("ps").args(["-A", "-o", "pgid=,state="]).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line = |line: &str| {
        let (group, state) = line.trim().split_once(char::is_whitespace)?;
        Some((group.parse().ok()?, state.trim().chars().next()?))
    };
    text.lines().filter_map(line).collect()
}

/// The group and the state of a line of `/proc/*/stat`, after the name, which may contain anything.
fn member(stat: &str) -> Option<(u32, char)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((fields.nth(1)?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    const QUICK: Patience = Patience {
        look: Duration::from_millis(10),
        end: Duration::from_millis(500),
        killed: Duration::from_millis(500),
    };

    fn start(script: &str) -> Child {
        Command::new("sh").args(["-c", script]).process_group(0).spawn().unwrap()
    }

    /// Waits for these scripts, within 20 seconds.
    fn waited(scripts: &[String], interrupts: usize) -> Option<(u32, ExitStatus)> {
        let mut ranks = Ranks::default();
        (0..).zip(scripts).for_each(|(number, script)| ranks.add(number, start(script)));
        let began = Instant::now();
        let first = ranks.wait(&AtomicUsize::new(interrupts), QUICK);
        let (number, status) = ranks.end().swap_remove(first?);
        assert!(began.elapsed() < Duration::from_secs(20), "it hung for {:?}", began.elapsed());
        Some((number, status.unwrap()))
    }

    #[test]
    fn a_signal_that_came_before_the_wait_is_passed_on() {
        let (_, status) = waited(&["exec sleep 60".into(), "exec sleep 60".into()], 1).unwrap();
        assert!(!status.success());
        assert!(waited(&["true".into()], 0).is_none());
    }

    /// A process of the group has ended, and its parent, which is of another group, never waits for
    /// it.
    #[test]
    fn ended_processes_that_nobody_waits_for_keep_no_launch_alive() {
        let dir = tempfile::tempdir().unwrap();
        let other = dir.path().join("other");
        let script = format!(
            "(sh -c 'echo $$ > {0}.new; mv {0}.new {0}; sleep 0.1 & exec setsid sleep 60') & \
             while [ ! -e {0} ]; do sleep 0.05; done; sleep 0.5; exit 3",
            other.display()
        );
        let first = waited(&[script], 0).unwrap();
        let parent: i32 = fs::read_to_string(&other).unwrap().trim().parse().unwrap();
        let alive = fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
        // SAFETY: the process that the script started.
        unsafe { libc::kill(parent, libc::SIGKILL) };
        assert!(alive.contains("(sleep) S"), "the other process is there: {alive}");
        assert_eq!((first.0, first.1.code()), (0, Some(3)));
    }

    /// Otherwise its number could become that of another process before its group is signalled.
    #[test]
    fn a_process_that_has_ended_keeps_its_number_while_others_run() {
        let dir = tempfile::tempdir().unwrap();
        let number = dir.path().join("number");
        let first = format!("echo $$ > {}", number.display());
        let second = format!("sleep 1; [ -e /proc/$(cat {}) ]", number.display());
        assert!(waited(&[first, second], 0).is_none());
    }

    #[test]
    fn what_ignores_signals_is_killed_and_the_first_failure_is_named() {
        let deaf = "trap '' TERM; while :; do sleep 0.05; done";
        let (rank, status) = waited(&[deaf.into(), "exit 4".into(), deaf.into()], 0).unwrap();
        assert_eq!((rank, status.code()), (1, Some(4)));
        // A process that the failed one has left behind.
        let (_, status) = waited(&[format!("({deaf}) & exit 5")], 0).unwrap();
        assert_eq!(status.code(), Some(5));
    }

    #[test]
    fn lines_of_processes_are_read_whatever_their_name() {
        assert_eq!(member("12 (a) b) S 1 77 3 0"), Some((77, 'S')));
        assert_eq!(member("12 (a"), None);
        let own = members().into_iter().filter(|(_, state)| *state == 'R').count();
        assert!(own > 0);
    }
}
