//! Pages and links of the repository; a check of `cargo xtask tidy`. mdBook is not needed.
//!
//! Every page of docs/ is in docs/SUMMARY.md. Every relative link of a Markdown file leads to a
//! file, and its anchor to a heading. Pages of docs/ link to files of docs/ only, because the book
//! has no others; links to `doc/CRATE/` lead to the crate's Rust documentation beside the book.

use anyhow::Context;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};
use xtask_shell::root;

const BOOK: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";
/// The directory of the Rust documentation, beside that of the book.
const RUSTDOC: &str = "doc";

/// A link of a page.
struct Link {
    line: usize,
    target: String,
}

/// The links of a page, and the anchors of its headings.
#[derive(Default)]
struct Page {
    links: Vec<Link>,
    anchors: BTreeSet<String>,
}

/// Checks Markdown files; returns one line per problem.
pub(crate) fn check(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    // In source directories are parts of pages that programs write.
    let pages: Vec<_> = files.iter().filter(|file| file.iter().all(|part| part != "src")).cloned().collect();
    problems(&root(), &pages)
}

fn problems(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut pages = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        pages.insert(file.as_path(), page(&text));
    }
    let mut found = outside_the_book(&pages);
    for (file, page) in &pages {
        for Link { line, target } in &page.links {
            let problem = problem_of(root, file, target, &pages);
            found.extend(problem.map(|problem| format!("{}:{line}: {target} {problem}", file.display())));
        }
    }
    Ok(found)
}

/// Pages of docs/ that the summary does not have, or has twice.
fn outside_the_book(pages: &BTreeMap<&Path, Page>) -> Vec<String> {
    let Some(summary) = pages.get(Path::new(SUMMARY)) else { return vec![format!("{SUMMARY} is missing")] };
    let listed: Vec<PathBuf> =
        summary.links.iter().filter_map(|link| resolve(Path::new(SUMMARY), path_and_anchor(&link.target).0)).collect();
    let of_the_book = pages.keys().filter(|file| file.starts_with(BOOK) && **file != Path::new(SUMMARY));
    let times = of_the_book.map(|file| (file, listed.iter().filter(|page| page == file).count()));
    let wrong = times.filter(|(_, count)| *count != 1);
    wrong.map(|(file, count)| format!("{} is in {SUMMARY} {count} times, not once", file.display())).collect()
}

fn problem_of(root: &Path, file: &Path, target: &str, pages: &BTreeMap<&Path, Page>) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = path_and_anchor(target);
    let Some(to) = resolve(file, path) else { return Some("leaves the repository".into()) };
    if file.starts_with(BOOK) && !to.starts_with(BOOK) {
        let name = to.strip_prefix(RUSTDOC).ok().and_then(|rest| rest.iter().next()).and_then(|name| name.to_str());
        let documented = name.is_some_and(|name| root.join("crates").join(name.replace('_', "-")).is_dir());
        return (!documented).then(|| format!("leaves {BOOK}/, and so the book; name the file in backquotes"));
    }
    if !root.join(&to).exists() {
        return Some("leads to no file".into());
    }
    let known = |anchor: &str| pages.get(to.as_path()).is_none_or(|page| page.anchors.contains(anchor));
    anchor.filter(|anchor| !known(anchor)).map(|_| "leads to no heading".into())
}

fn path_and_anchor(target: &str) -> (&str, Option<&str>) {
    target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)))
}

/// The file of a link, relative to the root; an empty path is the page itself.
fn resolve(file: &Path, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return Some(file.to_path_buf());
    }
    let mut to = PathBuf::new();
    for part in file.parent()?.join(path).components() {
        match part {
            Component::ParentDir if !to.pop() => return None,
            Component::Normal(name) => to.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
            Component::ParentDir | Component::CurDir => {}
        }
    }
    Some(to)
}

fn page(text: &str) -> Page {
    let (mut page, mut heading) = (Page::default(), None::<String>);
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let line = text[..range.start].matches('\n').count() + 1;
                page.links.push(Link { line, target: dest_url.into_string() });
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(words) | Event::Code(words) => heading.iter_mut().for_each(|h| h.push_str(&words)),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let numbered = (1..).map(|n| format!("{anchor}-{n}"));
                let free = std::iter::once(anchor.clone()).chain(numbered).find(|a| !page.anchors.contains(a));
                page.anchors.extend(free);
            }
            _ => {}
        }
    }
    page
}

/// The anchor that GitHub and mdBook give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || c.is_whitespace() || "-_".contains(*c));
    kept.map(|c| if c.is_whitespace() { '-' } else { c }).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [(&str, &str); 5] = [
        (SUMMARY, "# Summary\n\n[Guide](guide.md)\n\n- [Sample](guide/sample.md)\n"),
        (
            "docs/guide.md",
            "# Guide\n\n[how](guide/sample.md#the-flag---sde) ![a](images/a.png) [x](https://x.org/#y)\n",
        ),
        (
            "docs/guide/sample.md",
            "# Sample\n\n## The flag `--sde`\n\n[up](../guide.md#guide) [d](../../doc/fm_x/i.html)\n",
        ),
        ("README.md", "# X\n\n## Use\n\n## Use\n\n[docs](docs/guide.md) [crate](crates/fm-x) [second](#use-1)\n"),
        ("docs/images/a.png", ""),
    ];

    /// The problems of a repository after a change of one of its files.
    fn found(name: &str, text: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let (changed, mut files) = ((name, text), Vec::new());
        for (name, text) in PAGES.iter().filter(|(n, _)| *n != name).chain([&changed]) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            files.extend(Some(PathBuf::from(name)).filter(|p| p.extension().is_some_and(|e| e == "md")));
        }
        fs::create_dir_all(dir.path().join("crates/fm-x")).unwrap();
        problems(dir.path(), &files).unwrap()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        assert_eq!(found("crates/fm-x/README.md", "[d](../../docs/guide.md#guide)"), [""; 0]);
        assert_eq!(found("CHANGELOG.md", "```\n[in code](nowhere.md)\n```\n`[span](nowhere.md)`"), [""; 0]);
    }

    #[test]
    fn broken_links_are_named_with_their_line() {
        for (name, text, problem) in [
            ("README.md", "a\n\n[x](docs/gone.md)", "README.md:3: docs/gone.md leads to no file"),
            ("README.md", "[x](docs/guide.md#gone)", "README.md:1: docs/guide.md#gone leads to no heading"),
            ("README.md", "# Use\n\n[x](#use-1)", "README.md:3: #use-1 leads to no heading"),
            ("README.md", "[x](../other/a.md)", "README.md:1: ../other/a.md leaves the repository"),
            ("README.md", "![x](docs/images/b.png)", "README.md:1: docs/images/b.png leads to no file"),
            ("README.md", "| a |\n|---|\n| [x](b.md) |", "README.md:3: b.md leads to no file"),
        ] {
            assert_eq!(found(name, text), [problem]);
        }
        let outside = found("docs/guide.md", "[x](../README.md) [y](../doc/fm_y/index.html)\n\n# Guide");
        assert!(outside.len() == 2 && outside.iter().all(|line| line.contains("leaves docs/")), "{outside:?}");
    }

    #[test]
    fn pages_that_the_summary_does_not_have_once_are_named() {
        assert_eq!(found("docs/new.md", "# New"), ["docs/new.md is in docs/SUMMARY.md 0 times, not once"]);
        let twice = format!("{}- [Again](guide/sample.md)\n", PAGES[0].1);
        assert_eq!(found(SUMMARY, &twice), ["docs/guide/sample.md is in docs/SUMMARY.md 2 times, not once"]);
        assert!(problems(Path::new("."), &[]).unwrap()[0].contains("SUMMARY.md is missing"));
    }
}
