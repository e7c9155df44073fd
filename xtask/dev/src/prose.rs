//! What docs/style.md asks of comments and pages, as far as a program can see it.
//!
//! Looked at are comments that fill their line, and Markdown outside of code blocks. A line that is
//! wide because of one word or a table is no violation.

use std::fs;
use std::path::{Path, PathBuf};
use xtask_shell::root;

/// Columns of a comment.
const WIDTH: usize = 100;

/// Phrases that docs/style.md names; it may, and so may this list.
const AVOIDED: [&str; 7] =
    ["so many", "one's own", "whoever", "but for", "as often as not", "what cannot be", "is asked for"];
const MAY_NAME_THEM: [&str; 2] = ["docs/style.md", "xtask/dev/src/prose.rs"];

/// A line of prose: its number, the whole line, and its words.
struct Line<'a> {
    number: usize,
    whole: &'a str,
    words: &'a str,
}

/// Violations in files, each as a line that names the place.
pub(crate) fn violations(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for path in files {
        let text = fs::read_to_string(root().join(path))?;
        found.extend(of_text(path, &text).into_iter().map(|problem| format!("{}:{problem}", path.display())));
    }
    Ok(found)
}

fn of_text(path: &Path, text: &str) -> Vec<String> {
    let markdown = path.extension().is_some_and(|e| e == "md");
    let may_name = MAY_NAME_THEM.iter().any(|known| path == Path::new(known));
    let lines = prose(text, markdown);
    let mut found = Vec::new();
    for line in &lines {
        let Line { number, whole, words } = line;
        let breaks = words.trim().contains(' ') && !words.trim_start().starts_with('|') && !words.contains("](");
        if !markdown && breaks && whole.chars().count() > WIDTH {
            found.push(format!("{number}: a comment wider than {WIDTH}"));
        }
        if words.matches('`').count() % 2 == 1 {
            found.push(format!("{number}: a code span that is broken across lines"));
        }
    }
    // Phrases may be broken across lines.
    for (at, line) in lines.iter().enumerate().filter(|_| !may_name) {
        let next = lines.get(at + 1).filter(|next| next.number == line.number + 1).map_or("", |next| next.words.trim());
        let both = format!("{} {next}", line.words.trim()).to_lowercase();
        let starts_here = |phrase: &&&str| both.find(**phrase).is_some_and(|place| place < line.words.trim().len());
        found.extend(AVOIDED.iter().filter(starts_here).map(|phrase| format!("{}: '{phrase}'", line.number)));
    }
    found
}

/// The lines of prose, without those of code blocks.
fn prose(text: &str, markdown: bool) -> Vec<Line<'_>> {
    let (mut lines, mut in_code) = (Vec::new(), false);
    for (at, whole) in text.lines().enumerate() {
        let comment = whole.trim_start().strip_prefix("//").map(|rest| rest.trim_start_matches(['/', '!']));
        let Some(words) = (if markdown { Some(whole) } else { comment }) else {
            in_code = false;
            continue;
        };
        if words.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !(in_code || markdown && whole.starts_with("    ")) {
            lines.push(Line { number: at + 1, whole, words });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Vec<String> {
        of_text(Path::new(name), text)
    }

    #[test]
    fn wide_comments_and_broken_spans_are_found() {
        let wide = format!("/// {}\nfn f() {{}}", "word ".repeat(20));
        assert_eq!(found("a.rs", &wide), ["1: a comment wider than 100"]);
        let url = format!("// {}", "x".repeat(120));
        assert!(found("a.rs", &url).is_empty());
        let table = format!("//! | a | {} |", "word ".repeat(30));
        assert!(found("a.rs", &table).is_empty());
        let code = format!("//! ```\n//! {}\n//! ```", "word ".repeat(30));
        assert!(found("a.rs", &code).is_empty());
        let broken = "/// Run `cargo\n/// test` first.";
        assert_eq!(found("a.rs", broken).len(), 2);
    }

    #[test]
    fn phrases_are_found_across_lines_and_in_pages() {
        assert_eq!(found("a.rs", "// It takes so\n// many steps."), ["1: 'so many'"]);
        assert_eq!(found("a.md", "All but for one."), ["1: 'but for'"]);
        assert!(found("a.md", "```\nall but for one\n```").is_empty());
        assert!(found("docs/style.md", "All but for one.").is_empty());
        assert!(found("a.rs", "let phrase = \"but for\";").is_empty());
    }
}
