//! The statements of docs/statements.md that name a command of this program, and the recipes of
//! docs/recipes.

#[path = "../../../tests/support/statements.rs"]
mod statements;

const BINARY: &str = env!("CARGO_BIN_EXE_cifar-train");

#[test]
fn commands_give_what_the_page_says() {
    let problems = statements::commands("cifar-train", BINARY);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn recipes_train_as_other_trainers_names() {
    let words = "train --preset quickstart --steps 3 --batch-size 8 --log-every 1 --save-every 0 --sample-every 0";
    statements::recipes_train_as_other_trainers_names(BINARY, words);
}
