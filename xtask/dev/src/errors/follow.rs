//! Remedies that name a flag or a command, and the tests that follow them.
//!
//! A file `remedies.rs` or `remedies/rows.rs` among the tests of a program has rows of a command
//! that fails, a part of its message, and the command after the remedy. Each text that names a flag
//! or a command has a row, or is in [`WITHOUT_TEST`].

use super::literals::{self, Constants};
use super::scan::Text;
use anyhow::Context;
use std::path::PathBuf;
use syn::ExprTuple;
use syn::visit::{self, Visit};

/// Least number of characters of a part of a message, so that it belongs to few texts.
const LEAST: usize = 12;

/// Parts of the texts that no test of the programs can follow, with the reason.
const WITHOUT_TEST: [(&str, &str); 23] = [
    (
        "is not the teacher that made the pairs",
        "it needs a teacher that changed after its pairs, which another test has",
    ),
    ("holds a run without a usable checkpoint", "it needs damaged checkpoints, which another test has"),
    ("names the source of its run; drop it", "it needs a file that cifar-train converted from a run of tables"),
    ("channels first; use --channels-last false", "it needs a GPU"),
    ("this libtorch has no libtorch_cuda.so (looked in", "it depends on the libtorch of the machine"),
    ("cannot use CUDA: ", "it needs a GPU"),
    ("check it with `cargo xtask doctor`, or use the CPU", "it needs a damaged CUDA half of libtorch"),
    ("has no libtorch_cuda.so; run `cargo xtask fetch-libtorch", "it needs a CPU build of libtorch"),
    ("set LIBTORCH or run `cargo xtask fetch-libtorch`", "it needs a machine without libtorch"),
    ("whose autoencoder has one size; drop --size", "it needs a run in a latent space, which another test has"),
    ("each needs a row; raise --batch-size", "it needs several processes"),
    ("wait for it to end, or give another --cache", "it needs two programs at one moment"),
    ("or download an archive elsewhere and pass --from PATH", "it needs a machine without a network"),
    ("nothing is published for {platform}", "it needs another kind of machine"),
    ("so quickstart did not make it; choose another --out", "quickstart takes minutes"),
    ("`cargo xtask counts --update`", "it changes the counts of the repository"),
    ("was not made by cifar-train; make pairs with", "it needs pairs that another program made"),
    ("the neighbours of some samples are missing", "it needs a cache that changes during the evaluation"),
    ("give images of one form, by --image-size", "images of another form are refused before"),
    ("there are no images to evaluate", "the parser of the command line asks for --samples before"),
    ("there is no model to sample in the sweep", "the parser of the command line refuses --samples before"),
    ("--plot draws the first metric", "a sweep refuses nll before"),
    ("this solver keeps no states on its way", "all present solvers keep them"),
];

/// Checks texts against the files with rows; returns one line per problem.
pub(super) fn check(texts: &[Text], rows: &[(PathBuf, String)]) -> anyhow::Result<Vec<String>> {
    let mut followed = Vec::new();
    for (path, text) in rows {
        let file =
            syn::parse_file(text).with_context(|| format!("cannot parse {}; correct its syntax", path.display()))?;
        let mut reader = Rows(Vec::new());
        reader.visit_file(&file);
        followed.extend(reader.0);
    }
    Ok(problems(texts, &followed, &WITHOUT_TEST))
}

fn problems(texts: &[Text], followed: &[String], unfollowed: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let naming: Vec<&Text> = texts.iter().filter(|text| names_a_flag(&text.words)).collect();
    let row = |text: &Text| followed.iter().any(|part| part.chars().count() >= LEAST && text.words.contains(part));
    let listed = |text: &Text| unfollowed.iter().any(|(part, _)| text.words.contains(part));
    for text in naming.iter().filter(|text| !row(text) && !listed(text)) {
        found.push(format!("{}: no test follows the remedy: {}", text.file, text.words));
    }
    let open = naming.iter().filter(|text| !row(text));
    for (part, _) in unfollowed.iter().filter(|(part, _)| !open.clone().any(|text| text.words.contains(part))) {
        found.push(format!("xtask/dev/src/errors/follow.rs: no text needs the entry '{part}'; remove it"));
    }
    found
}

/// Whether a text names a flag, or a command in backquotes.
fn names_a_flag(text: &str) -> bool {
    let flag = text.match_indices("--").any(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()));
    let commands = ["cargo xtask ", "cifar-train ", "tabular-train ", "inspect ", "nvidia-smi", "pip "];
    flag || text.split('`').skip(1).step_by(2).any(|code| commands.iter().any(|name| code.starts_with(name)))
}

/// The parts of messages in rows.
struct Rows(Vec<String>);

impl<'ast> Visit<'ast> for Rows {
    fn visit_expr_tuple(&mut self, tuple: &'ast ExprTuple) {
        if tuple.elems.len() == 3 {
            self.0.extend(literals::of(&tuple.elems[1], &Constants::new()));
        }
        visit::visit_expr_tuple(self, tuple);
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::Kind;
    use super::*;

    fn text(words: &str) -> Text {
        Text { file: "a.rs".into(), kind: Kind::Whole, words: words.into() }
    }

    #[test]
    fn texts_with_flags_need_a_row_or_an_entry() {
        let texts = [text("steps is 0; give --steps above 0"), text("run `cargo xtask doctor`"), text("a; b -- c")];
        let rows = |part: &str| vec![part.to_owned()];
        let known = [("cargo xtask doctor", "it needs a GPU")];
        assert_eq!(problems(&texts, &rows("give --steps above"), &known), [""; 0]);
        assert_eq!(problems(&texts, &rows("--steps"), &known).len(), 1);
        assert_eq!(problems(&texts, &rows("give --steps above"), &[]).len(), 1);
        let stale = [("cargo xtask doctor", "it needs a GPU"), ("cargo xtask bench", "it takes hours")];
        assert_eq!(problems(&texts, &rows("give --steps above"), &stale).len(), 1);
    }

    #[test]
    fn rows_are_triples() {
        let file = syn::parse_file("const R: [Row; 1] = [(\"a\", \"give --b C\", \"d\")]; const S: (u8, u8) = (1, 2);");
        let mut rows = Rows(Vec::new());
        rows.visit_file(&file.unwrap());
        assert_eq!(rows.0, ["give --b C"]);
    }
}
