//! A process that outlives `cargo xtask launch` by the time it takes to end what it started.
//!
//! A killed launcher cannot signal anybody. Its ranks get SIGTERM from the kernel, but processes
//! that they started (a rank may be a script) do not. The guard is a shell that waits for the end
//! of the launcher, which holds the other end of its standard input. It then sends SIGTERM to the
//! other processes of the ranks' groups, and kills all that is left of them some time later.

use anyhow::Context;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The patience is the first argument; groups arrive as lines, `over` ends those so far, and `done`
/// is the last line of a launcher that ends by itself. A group that has ended is not looked at
/// again, because its number may become that of another one. The fields of `stat` after the name
/// are state, parent and group.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
groups=
while read -r word; do
    case "$word" in
        done) exit 0 ;;
        over) groups= ;;
        *) groups="$groups $word" ;;
    esac
done
for stat in /proc/[0-9]*/stat; do
    { read -r line < "$stat"; } 2> /dev/null || continue
    pid=${line%% *}; rest=${line##*) }; rest=${rest#* }; rest=${rest#* }; group=${rest%% *}
    case "$groups " in
        *" $group "*) [ "$pid" = "$group" ] || kill -s TERM "$pid" ;;
    esac
done
left=$1
while [ "$left" -gt 0 ]; do
    alive=
    for group in $groups; do kill -s 0 -- "-$group" && alive="$alive $group"; done
    groups=$alive
    [ -z "$groups" ] && exit 0
    sleep 1
    left=$((left - 1))
done
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

/// The guard of one launch.
#[derive(Debug)]
pub(crate) struct Guard(Child);

impl Guard {
    /// Starts a guard, which gives processes `patience` to end by themselves.
    pub(crate) fn start(patience: Duration) -> anyhow::Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "launch-guard", &patience.as_secs().to_string()]);
        // A group of its own: signals to the launcher's group are not for the guard.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(shell.spawn().context("cannot start sh, which ends processes if this one is killed")?))
    }

    /// Adds a process group to the guard.
    pub(crate) fn watch(&mut self, group: u32) -> anyhow::Result<()> {
        self.say(&group.to_string()).context("cannot write to the shell that ends processes if this one is killed")
    }

    /// The groups so far have ended.
    pub(crate) fn forget(&mut self) -> anyhow::Result<()> {
        self.say("over").context("cannot write to the shell that ends processes if this one is killed")
    }

    fn say(&mut self, word: &str) -> std::io::Result<()> {
        self.0.stdin.as_mut().map_or(Ok(()), |stdin| writeln!(stdin, "{word}"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.say("done");
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Whether a group has ended, within 20 seconds.
    fn ends(child: &mut Child) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn stubborn() -> Child {
        let mut rank = Command::new("sh");
        rank.args(["-c", "trap '' TERM; while :; do sleep 0.1; done"]).process_group(0).spawn().unwrap()
    }

    #[test]
    fn groups_that_are_over_are_left_alone() {
        let (mut before, mut now) = (stubborn(), stubborn());
        let mut guard = Guard::start(Duration::from_secs(1)).unwrap();
        guard.watch(before.id()).unwrap();
        guard.forget().unwrap();
        guard.watch(now.id()).unwrap();
        drop(guard.0.stdin.take());
        let (killed, left) = (ends(&mut now), before.try_wait().unwrap().is_none());
        [before.kill(), now.kill()].into_iter().for_each(drop);
        assert!(killed && left && guard.0.wait().unwrap().success());
    }

    #[test]
    fn what_does_not_end_is_killed_when_the_launcher_is_gone_and_only_then() {
        let mut rank = stubborn();
        let mut guard = Guard::start(Duration::from_secs(1)).unwrap();
        guard.watch(rank.id()).unwrap();
        drop(guard);
        assert!(rank.try_wait().unwrap().is_none(), "a launch that ends by itself leaves its processes alone");
        let mut guard = Guard::start(Duration::from_secs(1)).unwrap();
        guard.watch(rank.id()).unwrap();
        // As if the launcher were killed.
        drop(guard.0.stdin.take());
        let killed = ends(&mut rank);
        let _ = rank.kill();
        assert!(killed && guard.0.wait().unwrap().success());
    }
}
