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
    for line in text.lines().map(str::trim) {
        let named = line.split_once("--").filter(|(before, _)| before.is_empty() || before.len() == "-h, ".len());
        match named {
            Some((_, rest)) => blocks.push((rest.into(), String::new())),
            None => {
                if let Some((_, help)) = blocks.last_mut() {
                    help.push('\n');
                    help.push_str(line);
                }
            }
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
        None => Vec::new(),
    };
    Flag { name, value, values, default: after("(default: ", ")").or_else(|| after("[default: ", "]")) }
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
          Continue from the newest intact checkpoint of --out, with its configuration
  -h, --help
          Print help
      --label-drop <SHARE>
          Probability of replacing a label
          by the null label (default: 0.1)
      --kind <KIND>  The kind [default: a] [possible values: a, b-c]
";

    #[test]
    fn names_values_and_defaults_are_read_from_a_help() {
        let flags = read(HELP);
        let names: Vec<&str> = flags.iter().map(|flag| flag.name.as_str()).collect();
        assert_eq!(names, ["model", "resume", "help", "label-drop", "kind"]);
        assert_eq!((flags[0].values.join(" "), flags[1].value.clone()), ("unet dit".into(), None));
        assert_eq!((flags[3].value.as_deref(), flags[3].default.as_deref()), (Some("SHARE"), Some("0.1")));
        assert_eq!((flags[4].values.join(" "), flags[4].default.as_deref()), ("a b-c".into(), Some("a")));
    }
}
