//! The options of a command, as its own help lists them.

/// An option of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The name without dashes.
    pub(crate) name: String,
    /// The name of its value; `None` for an option without a value.
    pub(crate) value: Option<String>,
    /// All values, if the help lists them.
    pub(crate) values: Vec<String>,
    /// The default, if the help names one.
    pub(crate) default: Option<String>,
}

/// Reads the long help of a command.
pub(crate) fn read(text: &str) -> Vec<Flag> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        // Lines of help texts are indented further, and may begin with an option too.
        let named = line.split_once("--").filter(|(before, _)| ["      ", "  -h, ", "  -V, "].contains(before));
        if let Some((_, rest)) = named {
            blocks.push((rest.into(), String::new()));
        } else if let Some((_, help)) = blocks.last_mut() {
            help.push('\n');
            help.push_str(line.trim());
        }
    }
    blocks.iter().map(|(head, help)| flag(head, help)).collect()
}

fn flag(head: &str, help: &str) -> Flag {
    let name: String = head.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
    let value = head.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(value, _)| value.to_owned());
    // The help of a short option is on the line of its name.
    let all = format!("{head}\n{help}");
    let one_line = all.split_whitespace().collect::<Vec<_>>().join(" ");
    let after = |mark: &str, end: &str| {
        one_line.split_once(mark).and_then(|(_, rest)| rest.split_once(end)).map(|(found, _)| found.to_owned())
    };
    let in_line = after("[possible values: ", "]");
    let listed = all.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split([':', ' ']).next());
    let values = match in_line {
        Some(values) => values.split(", ").map(str::to_owned).collect(),
        None if one_line.contains("Possible values:") => listed.map(str::to_owned).collect(),
        None => choices(&one_line),
    };
    Flag { name, value, values, default: after("(default: ", ")").or_else(|| after("[default: ", "]")) }
}

/// The names of a help text such as `The precision: high, low (default: low)`.
fn choices(help: &str) -> Vec<String> {
    let text = help.split(" (default: ").next().unwrap_or(help).trim_end_matches('.');
    let names: Vec<&str> = text.rsplit_once(": ").map(|(_, names)| names.split(", ").collect()).unwrap_or_default();
    let all = names.len() > 1 && names.iter().all(|name| !name.is_empty() && !name.contains(' '));
    if all { names.into_iter().map(str::to_owned).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "\
Train a model

Usage: cifar-train train [OPTIONS]

Network:
      --model <MODEL>
          Type of the network

          Possible values:
          - unet: Convolutional U-Net
          - dit:  Diffusion transformer

Run:
      --resume
          Continue from the newest intact checkpoint of --out, with its configuration. Only
          --label-drop, --kind and --steps may change
  -h, --help
          Print help
      --label-drop <SHARE>
          Probability of replacing a label
          by the null label (default: 0.1)
      --kind <KIND>
          The kind [default: a] [possible values: a, b-c]
      --precision <P>
          Precision of products; high is TF32: highest,
          high (default: highest)
";

    #[test]
    fn names_values_and_defaults_are_read_from_a_help() {
        let flags = read(HELP);
        let names: Vec<&str> = flags.iter().map(|flag| flag.name.as_str()).collect();
        assert_eq!(names, ["model", "resume", "help", "label-drop", "kind", "precision"]);
        assert_eq!((flags[0].values.join(" "), flags[1].value.clone()), ("unet dit".into(), None));
        assert_eq!((flags[3].value.as_deref(), flags[3].default.as_deref()), (Some("SHARE"), Some("0.1")));
        assert_eq!((flags[5].values.join(" "), flags[3].values.len()), ("highest high".into(), 0));
        assert_eq!((flags[4].values.join(" "), flags[4].default.as_deref()), ("a b-c".into(), Some("a")));
    }
}
