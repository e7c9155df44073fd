//! The catalogue of error texts, docs/errors.md, and its check; a check of `cargo xtask tidy`.
//!
//! The texts are read from the source code of the crates, the programs and `cargo xtask`. Each text
//! names cause and remedy in at most 300 characters, on one line. Each remedy that names a flag or
//! a command is followed by a test, or listed with the reason why no test can follow it.

mod follow;
mod known;
mod literals;
mod page;
mod scan;
mod template;

use anyhow::{Context, ensure};
use scan::{Kind, Text};
use std::fs;
use std::path::{Path, PathBuf};
use xtask_shell::root;

/// The catalogue.
const PAGE: &str = "docs/errors.md";
/// Largest number of characters of a text, as docs/style.md demands.
const LONGEST: usize = 300;
/// The directories whose texts are listed.
const LISTED: [&str; 3] = ["crates", "apps", "xtask"];

/// Checks the texts of Rust files and the page; returns one line per problem.
pub(crate) fn check(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let read =
        |path: &Path| fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {}", path.display()));
    let listed = |path: &&PathBuf| LISTED.iter().any(|top| path.starts_with(top)) && is_program(path);
    let sources: Result<Vec<_>, _> =
        files.iter().filter(listed).map(|p| read(p).map(|text| (p.clone(), text))).collect();
    let follows = |path: &&PathBuf| {
        let among = path.parent().is_some_and(|folder| folder.ends_with("tests/remedies"));
        path.ends_with("tests/remedies.rs") || among && !path.ends_with("main.rs")
    };
    let rows = files.iter().filter(follows);
    let rows: Result<Vec<_>, _> = rows.map(|p| read(p).map(|text| (p.clone(), text))).collect();
    let texts = scan::texts(&sources?)?;
    ensure!(texts.len() > 100, "the scanner of error texts found only {}; correct it", texts.len());
    let mut problems: Vec<String> = texts.iter().flat_map(problems_of).collect();
    problems.extend(follow::check(&texts, &rows?)?);
    let page = page::of(&texts, &CAUSES);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(root().join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))?;
    } else if read(Path::new(PAGE)).unwrap_or_default() != page {
        problems.push(format!("{PAGE} is out of date: run `UPDATE_DOCS=1 cargo xtask tidy`"));
    }
    Ok(problems)
}

/// Whether a file is part of a program or library, not a test or bench.
fn is_program(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let tests = |part: &std::borrow::Cow<'_, str>| matches!(&**part, "tests" | "benches" | "examples" | "tests.rs");
    parts.iter().any(|part| part == "src") && !parts.iter().any(tests)
}

/// Files whose texts are causes in another message, which names the remedy.
const CAUSES: [(&str, &str); 8] = [
    ("crates/fm-fetch/src/cifar10/archive.rs", "cannot fetch CIFAR-10 from"),
    ("crates/fm-fetch/src/cifar10/install.rs", "cannot fetch CIFAR-10 from"),
    ("crates/fm-fetch/src/cifar10/mod.rs", "cannot fetch CIFAR-10 from"),
    ("crates/fm-fetch/src/download.rs", "the messages of `fetch-libtorch`, `fetch-cifar10` and `--data cifar10`"),
    ("xtask/src/cuda.rs", "the line `CUDA` of `cargo xtask doctor`"),
    ("xtask/src/libtorch/archive.rs", "libtorch ... could not be had from"),
    ("xtask/src/libtorch/sources.rs", "libtorch ... could not be had from"),
    (
        "xtask/src/libtorch/tree.rs",
        "libtorch ... could not be had from, and the line `libtorch` of `cargo xtask doctor`",
    ),
];

fn problems_of(text: &Text) -> Vec<String> {
    let mut found = Vec::new();
    let mut problem = |what: &str| found.push(format!("{}: {what}: {}", text.file, text.words));
    if text.words.chars().count() > LONGEST {
        problem("longer than 300 characters");
    }
    if text.words.contains('\n') {
        problem("more than one line");
    }
    let cause = CAUSES.iter().any(|(file, _)| text.file == *file);
    if matches!(text.kind, Kind::Whole | Kind::Warning) && text.remedy().is_none() && !cause {
        problem("no remedy");
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_texts_of_the_source_code() {
        let problems = check(&crate::tidy::sources().unwrap()).unwrap();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    }

    fn of(source: &str) -> Vec<Text> {
        scan::texts(&[(PathBuf::from("crates/a/src/lib.rs"), source.to_owned())]).unwrap()
    }

    fn words(source: &str) -> Vec<String> {
        of(source).into_iter().map(|text| text.words).collect()
    }

    #[test]
    fn texts_of_macros_results_and_contexts_are_found() {
        let source = r#"
            const WRONG: &str = "c is wrong; correct c";
            fn f(a: Option<u8>) -> anyhow::Result<u8> {
                ensure!(a != Some(2), "a is {a:?}; give {}", 3);
                if a == Some(3) { bail!(WRONG); }
                std::fs::read("x").with_context(|| format!("cannot read {a}"))?;
                let _: Result<u8, String> = a.ok_or_else(|| "b is missing; give b".to_owned());
                eprintln!("warning: slow; wait");
                a.context("a is missing; give a")
            }
            #[cfg(test)]
            mod tests { fn g() { bail!("not listed") } }
        "#;
        let expected =
            ["a is {a:?}; give {}", "c is wrong; correct c", "cannot read {a}", "b is missing; give b", "slow; wait"];
        assert_eq!(words(source)[..5], expected);
        let texts = of(source);
        assert_eq!(texts[2].kind, Kind::Context);
        assert_eq!(texts[5].kind, Kind::Whole);
        assert_eq!((texts[3].cause(), texts[3].remedy()), ("b is missing", Some("give b")));
    }

    #[test]
    fn texts_of_variants_are_composed_with_their_parts() {
        let source = r#"
            enum E {
                #[error("cannot use {}: {}; {}", end(path, 60), brief(problem, 9), brief(.remedy, 9))]
                Broken { path: PathBuf, problem: String, remedy: String },
                #[error("lost {0}; find it")]
                Lost(u8),
            }
            fn broken(path: &Path, problem: String, remedy: &str) -> E {
                E::Broken { path: path.into(), problem, remedy: remedy.to_owned() }
            }
            fn g() {
                broken(path, format!("{n} rows"), "give 2");
                Err(E::Broken { path, problem: "no rows".into(), remedy: "give some".into() })
            }
        "#;
        let expected = [
            "cannot use {path}: {problem}; {remedy}",
            "lost {0}; find it",
            "cannot use {path}: {n} rows; give 2",
            "cannot use {path}: no rows; give some",
        ];
        let mut found = words(source);
        found.sort();
        let mut wanted = expected.to_vec();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }

    #[test]
    fn texts_without_remedy_and_long_texts_are_problems() {
        let problems = |text: &str| problems_of(&of(&format!("fn f() {{ bail!(\"{text}\") }}"))[0]).len();
        assert_eq!([problems("a; b"), problems("a"), problems(&"a; ".repeat(101))], [0, 1, 1]);
    }
}
