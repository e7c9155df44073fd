//! How a program of ours ends.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs a program: an error becomes one line on stderr and exit code 2.
pub fn run(main: impl FnOnce() -> anyhow::Result<ExitCode>) -> ExitCode {
    main().unwrap_or_else(|error| {
        eprintln!("error: {}", one_line(&error));
        ExitCode::from(2)
    })
}

fn one_line(error: &anyhow::Error) -> String {
    let chain: Vec<String> = error.chain().map(|e| e.to_string()).collect();
    // A cause that its parent already quotes is not said twice.
    let mut said: Vec<&str> = Vec::new();
    for text in &chain {
        if !said.iter().any(|s| s.contains(text.as_str())) {
            said.push(text);
        }
    }
    said.join(": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A flag that the first Ctrl-C (or a polite kill) raises; the second one aborts.
///
/// # Errors
/// When the signal handler cannot be installed.
pub fn interrupt_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("\ninterrupted: saving a checkpoint after this step; once more to abort");
    })?;
    Ok(flag)
}

/// The nearest of some names, for a hint.
pub fn nearest<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names.into_iter().min_by_key(|name| strsim::osa_distance(given, name))
}
