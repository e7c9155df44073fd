//! The statements of docs/statements.md that name a command of this program, a test or a page, and
//! the recipes of docs/recipes.

#[path = "../../../tests/support/statements.rs"]
mod statements;

const BINARY: &str = env!("CARGO_BIN_EXE_tabular-train");

#[test]
fn commands_give_what_the_page_says() {
    let problems = statements::commands("tabular-train", BINARY);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn tests_and_sections_that_the_page_names_are_there() {
    let problems = statements::references();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn wrong_rows_are_found() {
    statements::wrong_rows_are_found(BINARY, "tabular-train objective --path linear");
}

#[test]
fn recipes_train_as_other_trainers_names() {
    let words = "train --data moons --widths 16 --steps 4 --batch-size 32 --log-every 1 --sample-every 0";
    statements::recipes_train_as_other_trainers_names(BINARY, words);
}
