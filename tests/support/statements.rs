//! docs/statements.md: its commands are run, and its tests and sections are looked up.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test file uses its part; a test may stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A row of a table.
#[derive(Debug)]
struct Row {
    line: usize,
    how: How,
    /// The texts in backquotes of the last column.
    texts: Vec<String>,
}

/// What shows that a statement is true.
#[derive(Debug)]
enum How {
    Command(String),
    Test { file: String, functions: Vec<String> },
    Section { page: String, anchor: String },
}

const PROGRAMS: [&str; 2] = ["cifar-train", "tabular-train"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/statements.md")).unwrap()
}

/// The texts in backquotes.
fn spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn with_single_spaces(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn rows(page: &str) -> Vec<Row> {
    let lines = page.lines().enumerate().map(|(at, line)| (at + 1, line));
    let tables = lines.filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| statement "));
    tables.map(|(line, text)| row(line, text).unwrap_or_else(|| panic!("line {line} is no row: {text}"))).collect()
}

fn row(line: usize, text: &str) -> Option<Row> {
    let cells: Vec<&str> = text.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
    let [_, how, gives] = cells.try_into().ok()?;
    Some(Row { line, how: read_how(how)?, texts: spans(gives) })
}

fn read_how(cell: &str) -> Option<How> {
    if let Some(link) = cell.strip_prefix('[') {
        let target = link.split_once("](")?.1.strip_suffix(')')?;
        let (page, anchor) = target.split_once('#')?;
        return Some(How::Section { page: page.into(), anchor: anchor.into() });
    }
    let mut spans = spans(cell);
    if spans.len() == 1 {
        let is_command = PROGRAMS.iter().any(|program| spans[0].starts_with(&format!("{program} ")));
        return is_command.then(|| How::Command(spans.remove(0)));
    }
    let file = (!spans.is_empty()).then(|| spans.remove(0))?;
    Some(How::Test { file, functions: spans })
}

/// Checks the rows that name a test or a section; returns one line per problem.
pub(crate) fn references() -> Vec<String> {
    rows(&page()).iter().filter_map(|row| Some(format!("line {}: {}", row.line, problem_of(row)?))).collect()
}

fn problem_of(row: &Row) -> Option<String> {
    match &row.how {
        How::Command(_) => row.texts.is_empty().then(|| "nothing is expected of the command".into()),
        How::Test { file, functions } => {
            let Ok(source) = fs::read_to_string(root().join(file)) else { return Some(format!("no file {file}")) };
            let missing = functions.iter().find(|function| !has_test(&source, function));
            missing.map(|function| format!("{file} has no test {function}"))
        }
        How::Section { page, anchor } => {
            let Ok(text) = fs::read_to_string(root().join("docs").join(page)) else {
                return Some(format!("no page {page}"));
            };
            let Some(section) = section(&text, anchor) else { return Some(format!("{page} has no section {anchor}")) };
            let missing = row.texts.iter().find(|text| !section.contains(text.as_str()));
            if row.texts.is_empty() { Some("nothing is expected of the section".into()) } else { missing.cloned() }
        }
    }
}

/// Whether `source` has a function of this name below `#[test]`.
fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let at = lines.iter().position(|line| line.starts_with(&format!("fn {function}(")));
    let above =
        |at: usize| lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    at.is_some_and(|at| above(at).any(|line| *line == "#[test]"))
}

/// The text below a heading, up to the next one, with single spaces.
fn section(page: &str, anchor: &str) -> Option<String> {
    let mut lines = page.lines().skip_while(|line| !line.starts_with('#') || anchor_of(line) != anchor);
    lines.next()?;
    Some(with_single_spaces(&lines.take_while(|line| !line.starts_with('#')).collect::<Vec<_>>().join(" ")))
}

fn anchor_of(heading: &str) -> String {
    let words = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    words.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// Runs every command of a program and looks for the texts; returns one line per problem.
pub(crate) fn commands(program: &str, binary: &str) -> Vec<String> {
    let page = page();
    let shared = tempfile::tempdir().unwrap();
    prepare(&page, shared.path(), program, binary);
    let mut of_command: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows(&page) {
        if let How::Command(words) = &row.how
            && words.starts_with(program)
        {
            of_command.entry(words.clone()).or_default().push(row);
        }
    }
    assert!(of_command.len() > 50, "the page has {} commands of {program}", of_command.len());
    let (queue, problems) = (Mutex::new(of_command.into_iter()), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 4));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some((words, rows)) = queue.lock().unwrap().next() else { break };
                    let found = Outcome::of(&words, binary, shared.path()).problems(&words, &rows);
                    problems.lock().unwrap().extend(found);
                }
            });
        }
    });
    problems.into_inner().unwrap()
}

/// What a command did.
struct Outcome {
    directory: tempfile::TempDir,
    /// The files before the command.
    before: BTreeSet<PathBuf>,
    success: bool,
    output: String,
}

impl Outcome {
    /// Runs a command in a new directory that has the shared files and runs that it names.
    fn of(words: &str, binary: &str, shared: &Path) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let named: BTreeSet<&str> = words.split([' ', '/', ':', ',']).collect();
        for (from, to) in [(shared.to_owned(), PathBuf::new()), (shared.join("runs"), PathBuf::from("runs"))] {
            fs::create_dir_all(directory.path().join(&to)).unwrap();
            for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                if name != "runs" && named.contains(name.as_str()) {
                    copy(&entry.path(), &directory.path().join(&to).join(name));
                }
            }
        }
        let mut before = BTreeSet::new();
        list(directory.path(), directory.path(), &mut before);
        let (success, output) = execute(words, binary, directory.path());
        Self { directory, before, success, output }
    }

    /// A text is in the output, or is the name of a new file or directory, or is in a file that is
    /// named before it. With the text `error:` the command fails, and otherwise it succeeds.
    fn problems(&self, words: &str, rows: &[Row]) -> Vec<String> {
        let mut found = Vec::new();
        for row in rows {
            let mut seen = self.output.clone();
            if self.success == row.texts.iter().any(|text| text == "error:") {
                found.push(format!("line {}: {words}\n  {}", row.line, self.output));
            }
            for text in &row.texts {
                let path = self.directory.path().join(text);
                if path.exists() && !self.before.contains(Path::new(text)) {
                    seen += &with_single_spaces(&fs::read_to_string(path).unwrap_or_default());
                } else if !seen.contains(&with_single_spaces(text)) {
                    found.push(format!("line {}: {words}\n  no '{text}' in: {}", row.line, self.output));
                }
            }
        }
        found
    }
}

fn execute(words: &str, binary: &str, directory: &Path) -> (bool, String) {
    let mut command = Command::new(binary);
    command.env("OMP_NUM_THREADS", "1").args(words.split(' ').skip(1));
    let output = command.current_dir(directory).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), with_single_spaces(&text))
}

/// Writes the files that the page describes, and makes the program's runs.
fn prepare(page: &str, shared: &Path, program: &str, binary: &str) {
    let blocks = |kind: &'static str| page.split(kind).skip(1).map(|rest| rest.split("```").next().unwrap().trim());
    for toml in blocks("```toml\n# ") {
        let (name, text) = toml.split_once('\n').unwrap();
        fs::write(shared.join(name), text).unwrap();
    }
    copy(&root().join("docs/recipes"), &shared.join("recipes"));
    fs::create_dir(shared.join("runs")).unwrap();
    tables(shared);
    images(&shared.join("cifar"));
    for words in blocks("```sh\n").flat_map(str::lines).filter(|words| words.starts_with(program)) {
        let (success, output) = execute(words, binary, shared);
        assert!(success, "{words}\n{output}");
    }
}

fn tables(shared: &Path) {
    let write = |name: &str, head: &str, rows: u8, row: &dyn Fn(f64) -> String| {
        let text = (0..rows).fold(head.to_owned(), |text, i| text + &row(f64::from(i)) + "\n");
        fs::write(shared.join(name), text).unwrap();
    };
    let kind = |i: f64| if i % 2.0 == 0.0 { "healthy" } else { "ill" };
    let patient =
        |i: f64| format!("{:.2},{:.2},{}", 50.0 + 20.0 * (0.7 * i).sin(), 3.0 + 2.0 * (1.3 * i).cos(), kind(i));
    write("patients.csv", "age,dose,diagnosis\n", 60, &patient);
    write("means.csv", "", 2, &|i| format!("{:.1},{:.1}", 1.0 - 2.0 * i, 1.0 - i));
    write("four.csv", "", 30, &|i| [0.7, 1.4, 2.1, 2.8].map(|k| format!("{:.3}", (k * i).sin())).join(","));
}

/// A hundred images in five files, and twenty more, as CIFAR-10 has them: a label, then 3072 bytes.
fn images(directory: &Path) {
    fs::create_dir(directory).unwrap();
    let record =
        |i: usize| std::iter::once((i % 10) as u8).chain((0..3072).map(move |j| ((i * 7 + j * 13) % 256) as u8));
    let records: Vec<u8> = (0..20).flat_map(record).collect();
    let names = (1..=5).map(|k| format!("data_batch_{k}.bin")).chain(["test_batch.bin".to_owned()]);
    names.for_each(|name| fs::write(directory.join(name), &records).unwrap());
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Adds what is below a directory, as paths from `root`.
fn list(root: &Path, directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        found.insert(entry.path().strip_prefix(root).unwrap().to_owned());
        if entry.path().is_dir() {
            list(root, &entry.path(), found);
        }
    }
}

/// The files of docs/recipes, and the same in the names of other trainers.
const RECIPES: [(&str, &str); 3] = [
    ("standard", "--flow-type cfm --sigma-min 0.001 --time-sampling uniform --use-ot false"),
    ("high-quality", "--flow-type cfm --time-sampling logit_normal --logit-normal-loc 0 --logit-normal-scale 1"),
    ("rectified-flow", "--flow-type rectified_flow --time-sampling u_shaped"),
];

/// Trains by each recipe, and by what its comment says that it is: configuration, losses and
/// weights are the same.
pub(crate) fn recipes_train_as_other_trainers_names(binary: &str, words: &str) {
    let recipes = root().join("docs/recipes").canonicalize().unwrap();
    assert_eq!(fs::read_dir(&recipes).unwrap().count(), RECIPES.len(), "each recipe has a row here");
    let mut weights = BTreeSet::new();
    for (name, flags) in RECIPES {
        let directory = tempfile::tempdir().unwrap();
        let recipe = format!("program {words} --config {}/{name}.toml --out ours", recipes.display());
        for words in [recipe, format!("program {words} {flags} --out theirs")] {
            let (success, output) = execute(&words, binary, directory.path());
            assert!(success, "{words}\n{output}");
        }
        let both = |file: &str| ["ours", "theirs"].map(|run| fs::read(directory.path().join(run).join(file)).unwrap());
        for file in ["config.toml", "metrics.jsonl", "model.safetensors"] {
            let [ours, theirs] = both(file);
            assert!(ours == theirs, "{name}: {file} differs");
        }
        weights.insert(both("model.safetensors"));
    }
    assert_eq!(weights.len(), RECIPES.len(), "two recipes train the same network");
}

/// A wrong row of each kind is found.
pub(crate) fn wrong_rows_are_found(binary: &str, words: &str) {
    let wrong = [
        "| a | `tests/support/statements.rs`: `no_such_test` | b |",
        "| a | `apps/no_such_file.rs`: `x` | b |",
        "| a | [x](style.md#words) | `no such text` |",
        "| a | [x](style.md#prose) | `no such text` |",
        "| a | [x](style.md#prose) | nothing |",
        "| a | `cifar-train train` | nothing |",
    ];
    for text in wrong {
        assert!(problem_of(&row(1, text).unwrap()).is_some(), "{text}");
    }
    assert!(row(1, "| a | `other-program x` | `b` |").is_none() && row(1, "| a | `cifar-train x` |").is_none());
    let shared = tempfile::tempdir().unwrap();
    fs::create_dir(shared.path().join("runs")).unwrap();
    let outcome = Outcome::of(words, binary, shared.path());
    for (texts, count) in [("`velocity`", 0), ("`no such text`", 1), ("`runs`", 1), ("`error:`, `velocity`", 2)] {
        let rows = [row(1, &format!("| a | `{words}` | {texts} |")).unwrap()];
        assert_eq!(outcome.problems(words, &rows).len(), count, "{texts}");
    }
}
