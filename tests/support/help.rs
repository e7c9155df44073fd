//! What every program's help keeps to.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::Command;

/// Lines of two screens.
const TWO_SCREENS: usize = 100;

fn help(words: &[&str], program: &str) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// `--help` of each command fits two screens; `--help-all` has what it leaves out, and is offered
/// exactly where something is.
pub(crate) fn check(program: &str, rare: &[(&str, &str)]) {
    let whole = help(&["--help"], program);
    let commands = whole.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1).take_while(|l| !l.is_empty());
    let names: Vec<&str> = commands.filter_map(|l| l.strip_prefix("  ")?.split(' ').next()).collect();
    assert!(names.len() > 10, "{whole}");
    for name in names.into_iter().filter(|name| !name.is_empty() && *name != "help") {
        let text = help(&[name, "--help"], program);
        assert!(text.lines().count() <= TWO_SCREENS, "{name} has {} lines", text.lines().count());
        let hidden = rare.iter().filter(|(command, _)| *command == name);
        // The description of another option, which is indented further, may mention it.
        let lists = |text: &str, flag: &str| text.lines().any(|line| line.starts_with(&format!("      {flag} ")));
        for (_, flag) in hidden.clone() {
            assert!(!lists(&text, flag), "{name} --help shows {flag}");
            assert!(lists(&help(&[name, "--help-all"], program), flag), "{name} --help-all lacks {flag}");
        }
        assert!(hidden.count() == 0 || text.contains("--help-all"), "{name}");
    }
}
