//! The command line, exit codes and error messages of the programs.

use crate::given::{self, Given};
use crate::help;
use clap::{Command, CommandFactory, FromArgMatches};
use fm_core::message::io_remedy;
use fm_terminal::eprintln;
use fm_terminal::print::cut;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Parses the command line with the program's commands as changed by `adapt`. After an error, help
/// is on standard error, and the exit code is 2.
pub fn parse<P: CommandFactory + FromArgMatches>(adapt: impl FnOnce(Command) -> Command) -> P {
    let command = help::shown_for(help::with_help_all(adapt(P::command())), std::env::args_os());
    let parsed = command.try_get_matches().and_then(|matches| {
        given::keep(Given::of(&matches));
        P::from_arg_matches(&matches)
    });
    parsed.unwrap_or_else(|error| {
        if !error.use_stderr() {
            // Help and version, with colours.
            error.exit();
        }
        eprintln!("error: {}", cut(&of_arguments(&error.render().to_string()), LONGEST));
        std::process::exit(2)
    })
}

/// Largest number of characters of an error message, after the word `error: `.
const LONGEST: usize = 293;

/// The error of a parser of arguments on one line, without the usage.
fn of_arguments(rendered: &str) -> String {
    let lines = rendered.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let told = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let (mut text, mut advised) = (String::new(), false);
    for line in told.map(|line| line.trim_start_matches("error: ").trim_start_matches("tip: ")) {
        let joint = match text.as_str() {
            "" => "",
            before if before.ends_with(':') => " ",
            _ => {
                advised = true;
                "; "
            }
        };
        text += joint;
        text += line;
    }
    let advice = if advised { "" } else { advice(&text) };
    text + advice
}

/// The remedy for arguments that are refused in the words of the standard library.
fn advice(text: &str) -> &'static str {
    const REMEDIES: [(&str, &str); 6] = [
        ("invalid digit found in string", "; give a whole number in digits, such as 10000"),
        ("invalid float literal", "; give a number such as 0.001 or 1e-3"),
        ("number too large to fit", "; give a smaller number"),
        ("number too small to fit", "; give a larger number"),
        ("integer from empty string", "; leave no entry of a list empty"),
        ("invalid UTF-8", "; rename the file or its folder, or give a link to it"),
    ];
    let argument = text.strip_prefix("unexpected argument '-");
    if argument.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '.')) {
        return "; join a negative number to its flag by an equals sign";
    }
    REMEDIES.iter().find(|(part, _)| text.contains(part)).map_or("; see --help", |(_, remedy)| remedy)
}

/// Runs a program. An error, such as a failed write to standard output, is printed as one line on
/// standard error, with exit code 2. An exception of libtorch, such as out of memory, arrives as a
/// panic; it is printed as one line too, with exit code 2. Any other panic is a bug, with exit code
/// 101. If RUST_BACKTRACE is set, panics are printed in full.
pub fn run(main: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    crate::spinning::bound();
    crate::memory::keep_freed();
    if std::env::var_os("RUST_BACKTRACE").is_none() {
        std::panic::set_hook(Box::new(|info| {
            eprintln!("error: {}", cut(&thrown(info.payload_as_str().unwrap_or("unknown")), LONGEST));
        }));
    }
    let result = catch_unwind(AssertUnwindSafe(main)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map_or("", String::as_str);
        Ok(ExitCode::from(if text.contains(LIBTORCH) { 2 } else { 101 }))
    });
    let complete = |code| match fm_terminal::print::lost() {
        Some(error) => Err(anyhow::anyhow!("cannot write standard output: {error}; free space or redirect it")),
        None => Ok(code),
    };
    result.and_then(complete).unwrap_or_else(|error| {
        eprintln!("error: {}", cut(&one_line(&error), LONGEST));
        ExitCode::from(2)
    })
}

/// The remedy for an out-of-memory error.
const OUT_OF_MEMORY: &str =
    "; use a smaller --batch-size; in training, also --micro-batch-size or --checkpoint-activations true";

/// How an exception of libtorch begins in the text of a panic.
const LIBTORCH: &str = "Torch(\"";

/// The message for a panic: the first line of libtorch's exception, or the text of the panic.
fn thrown(text: &str) -> String {
    match text.split_once(LIBTORCH) {
        Some((_, said)) => {
            let first = said.split("\\n").next().unwrap_or(said);
            let hint = if first.contains("out of memory") { OUT_OF_MEMORY } else { "" };
            format!("libtorch: {first}{hint}")
        }
        None => format!("this is a bug: {text}; run again with RUST_BACKTRACE=1 and report the output"),
    }
}

/// An error and its causes on one line.
pub fn one_line(error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(|e| e.to_string()).collect();
    // Omit a cause that its parent already quotes.
    let mut said: Vec<&str> = Vec::new();
    for text in &chain {
        if !said.iter().any(|s| s.contains(text.as_str())) {
            said.push(text);
        }
    }
    let line = said.join(": ").split_whitespace().collect::<Vec<_>>().join(" ");
    // Only the innermost cause is an error of the operating system that nothing has explained yet.
    let outside = error.root_cause().downcast_ref::<io::Error>().filter(|error| error.raw_os_error().is_some());
    match outside.map(io_remedy).filter(|remedy| !line.contains(remedy)) {
        Some(remedy) => format!("{line}; {remedy}"),
        None => line,
    }
}

/// Names as text: `a, b or c`, with `last` before the last one.
pub fn listing<'a>(names: impl IntoIterator<Item = &'a str>, last: &str) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.split_last() {
        Some((end, first)) if !first.is_empty() => format!("{} {last} {end}", first.join(", ")),
        _ => names.concat(),
    }
}

/// The name nearest to `given`, for a "did you mean" hint.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names.into_iter().min_by_key(|name| strsim::osa_distance(given, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_arguments_are_one_line() {
        let tip = "error: unexpected argument '--stesp' found\n\n  tip: a similar argument exists: '--steps'\n\nUsage: x\n\nFor more information, try '--help'.\n";
        assert_eq!(of_arguments(tip), "unexpected argument '--stesp' found; a similar argument exists: '--steps'");
        let missing = "error: the following required arguments were not provided:\n  --out <DIR>\n\nUsage: x\n";
        assert_eq!(
            of_arguments(missing),
            "the following required arguments were not provided: --out <DIR>; see --help"
        );
    }

    #[test]
    fn numbers_that_do_not_parse_have_a_remedy() {
        let told = |text: &str| of_arguments(&format!("error: {text}\n\nUsage: x\n"));
        for (text, says) in [
            ("invalid value '1e4' for '--steps <N>': invalid digit found in string", "; give a whole number in digits"),
            ("invalid value '0,1' for '--lr <LR>': invalid float literal", "; give a number such as"),
            ("unexpected argument '-1' found", "; join a negative number"),
            ("unexpected argument '-x' found", "; see --help"),
        ] {
            assert!(told(text).contains(says), "{}", told(text));
        }
    }

    #[test]
    fn what_libtorch_throws_is_told_in_one_line() {
        let text = r#"called `Result::unwrap()` on an `Err` value: Torch("CUDA out of memory. Tried to allocate 2 GiB\nException raised from")"#;
        let told = thrown(text);
        assert!(
            told.starts_with("libtorch: CUDA out of memory. Tried to allocate 2 GiB; use a smaller --batch-size"),
            "{told}"
        );
        assert!(["--micro-batch-size", "--checkpoint-activations"].iter().all(|flag| told.contains(flag)), "{told}");
        assert!(thrown("index out of bounds").contains("RUST_BACKTRACE=1"));
    }

    #[test]
    fn names_are_listed_with_a_word_before_the_last() {
        assert_eq!(listing(["a", "b", "c"], "or"), "a, b or c");
        assert_eq!([listing(["a", "b"], "and"), listing(["a"], "or"), listing([], "or")], ["a and b", "a", ""]);
    }

    #[test]
    fn a_chain_of_causes_is_one_line_without_repetition() {
        let error = anyhow::anyhow!("the disk is full")
            .context("cannot write a.txt: the disk is full")
            .context("no\ncheckpoint");
        assert_eq!(one_line(&error), "no checkpoint: cannot write a.txt: the disk is full");
        let missing = anyhow::Error::new(std::fs::read("/no/such/file").unwrap_err()).context("cannot read a file");
        assert!(one_line(&missing).ends_with("; check the path"), "{}", one_line(&missing));
    }
}
