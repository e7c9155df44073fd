//! What is tortured: commands of both programs that write a directory, with the files that they
//! read.

use crate::options::{self, Drawn};
use crate::programs::Programs;
use crate::{help, named};
use anyhow::Context;
use rand::Rng;
use rand::seq::{IndexedRandom, IteratorRandom};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A command of a program, with the words that make it small.
struct Kind {
    program: &'static str,
    /// The command, before its options.
    command: &'static [&'static str],
    /// Its first options, of which one entry is drawn; `BASE` is the directory of materials.
    variants: &'static [&'static str],
    /// Its continuation; `None` for a command that continues when it is repeated.
    resume: Option<&'static str>,
    /// Options that are always drawn.
    always: &'static [(&'static str, &'static [&'static str])],
}

const CADENCE: &[(&str, &[&str])] = &[
    ("--steps", &["5", "8", "11"]),
    ("--batch-size", &["2", "4", "7"]),
    ("--save-every", &["0", "1", "2", "3", "4"]),
    ("--sample-every", &["0", "2", "3", "4", "5"]),
    ("--log-every", &["1", "2", "3"]),
];

const AUTOENCODER: &[(&str, &[&str])] = &[
    ("--steps", &["3", "5"]),
    ("--batch-size", &["2", "4"]),
    ("--save-every", &["0", "1", "2"]),
    ("--sample-every", &["0", "2", "3"]),
    ("--log-every", &["1", "2"]),
    ("--codes", &["4", "16"]),
    ("--code-dim", &["2", "4"]),
    ("--channel-mult", &["1", "1,1", "1,2"]),
];

/// Options with much behind them, of which every second configuration has one.
const OFTEN: [&str; 4] = ["--task", "--coupling", "--guidance", "--source"];

/// The first kinds of [`KINDS`], which take seconds; the others measure their result at length.
const FAST: usize = 5;

const KINDS: &[Kind] = &[
    Kind {
        program: "tabular-train",
        command: &["train"],
        variants: &[
            "--data moons --rows 200",
            "--data spiral --rows 100",
            "--data checkerboard --rows 150",
            "--data gaussian4",
            "--data BASE/table.csv --labels kind",
            "--data BASE/table.csv --labels kind --ignore c",
            "--data BASE/table.csv --ignore kind",
        ],
        resume: Some("--resume"),
        always: CADENCE,
    },
    Kind {
        program: "cifar-train",
        command: &["train"],
        variants: &[
            "--config BASE/unet.toml --model unet",
            "--config BASE/unet.toml --model unet --conditional true",
            "--config BASE/dit.toml --model dit",
            "--config BASE/dit.toml --model dit --conditional true",
            "--config BASE/unet.toml --model unet --latent BASE/autoencoder",
        ],
        resume: Some("--resume"),
        always: CADENCE,
    },
    Kind {
        program: "tabular-train",
        command: &["reflow"],
        variants: &["--teacher BASE/points --teacher-steps 2"],
        resume: Some("--teacher BASE/points --resume"),
        always: CADENCE,
    },
    Kind {
        program: "cifar-train",
        command: &["vqvae"],
        variants: &["--data digits --channels 32"],
        resume: Some("--resume"),
        always: AUTOENCODER,
    },
    Kind {
        program: "cifar-train",
        command: &["reflow", "pairs"],
        variants: &["--checkpoint BASE/teacher --num-steps 2", "--checkpoint BASE/teacher --solver euler"],
        resume: None,
        always: &[
            ("--num-pairs", &["5", "12", "20"]),
            ("--shard-size", &["3", "4", "7"]),
            ("--batch-size", &["3", "8"]),
        ],
    },
    Kind {
        program: "cifar-train",
        command: &["train"],
        variants: &["--pairs BASE/pairs --model unet"],
        resume: Some("--resume"),
        always: CADENCE,
    },
    Kind {
        program: "cifar-train",
        command: &["distill"],
        variants: &["--pairs BASE/pairs --model unet --num-steps 1", "--pairs BASE/pairs --model unet --num-steps 2"],
        resume: Some("--resume"),
        always: CADENCE,
    },
    Kind {
        program: "tabular-train",
        command: &["reflow"],
        variants: &["--teacher BASE/points --teacher-steps 1", "--teacher BASE/points --teacher-steps 2"],
        resume: None,
        always: ROUND,
    },
    Kind {
        program: "cifar-train",
        command: &["reflow"],
        variants: &["--teacher BASE/teacher --teacher-steps 1 --num-pairs 6 --num-samples 4"],
        resume: None,
        always: ROUND,
    },
];

/// Options of runs that are small, for rounds, which have many of them.
const ROUND: &[(&str, &[&str])] = &[
    ("--rounds", &["1", "2"]),
    ("--steps", &["2", "4"]),
    ("--batch-size", &["2", "4"]),
    ("--save-every", &["0", "1", "2"]),
    ("--sample-every", &["0", "2"]),
    ("--log-every", &["1", "2"]),
];

/// A command with its options.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) program: &'static str,
    command: Vec<String>,
    fixed: Vec<String>,
    /// The drawn options, each with its words.
    drawn: Vec<Vec<String>>,
    resume: Option<Vec<String>>,
}

/// All commands, with the options that are drawn for each.
#[derive(Debug)]
pub(crate) struct Subjects {
    base: PathBuf,
    options: Vec<Vec<Drawn>>,
    /// Options for which no value is known.
    pub(crate) unknown: BTreeSet<String>,
}

fn words(text: &str, base: &Path) -> Vec<String> {
    text.split_whitespace().map(|word| word.replace("BASE", &base.display().to_string())).collect()
}

impl Subjects {
    /// Reads the options of all commands, and makes the files that they read in `base`.
    pub(crate) fn prepare(programs: &Programs, page: &str, base: &Path) -> anyhow::Result<Self> {
        let named = named::read(page);
        let (mut all, mut unknown) = (Vec::new(), BTreeSet::new());
        for kind in KINDS {
            let text = ["--help-all", "--help"]
                .iter()
                .map(|flag| programs.text(kind.program, &[kind.command, &[*flag]].concat()))
                .find(Result::is_ok)
                .with_context(|| format!("{} {} has no help", kind.program, kind.command.join(" ")))??;
            let (drawn, others) = options::sort(&help::read(&text), &named);
            all.push(drawn);
            unknown.extend(others.into_iter().map(|name| format!("{} --{name}", kind.command.join(" "))));
        }
        make_materials(programs, base)?;
        Ok(Self { base: base.into(), options: all, unknown })
    }

    /// The number of options that are drawn for all commands together.
    pub(crate) fn count(&self) -> usize {
        self.options.iter().map(Vec::len).sum()
    }

    /// Draws a configuration. The first ones take the fast commands in turn, from the one of
    /// `first`.
    pub(crate) fn draw(&self, number: usize, first: u64, rng: &mut ChaCha8Rng) -> Configuration {
        let turn = (number + first as usize % FAST) % FAST;
        let at = if number < FAST { turn } else { weighted(rng) };
        let kind = &KINDS[at];
        let mut fixed = words(kind.variants.choose(rng).unwrap_or(&""), &self.base);
        for (name, values) in kind.always {
            let value = values.choose(rng).unwrap_or(&"1");
            fixed.extend([(*name).to_owned(), (*value).to_owned()]);
        }
        // An option that is fixed is not drawn too.
        let options = self.options[at].iter().filter(|option| !fixed.contains(&option.flag()));
        let count = rng.random_range(2..9);
        let mut chosen = options.clone().choose_multiple(rng, count);
        if rng.random_bool(0.5) {
            let often = options.filter(|option| OFTEN.contains(&option.flag().as_str())).choose(rng);
            chosen.retain(|option| often.is_none_or(|often| often.flag() != option.flag()));
            // The first one stays longest when the program refuses some.
            chosen.splice(0..0, often);
        }
        let drawn = chosen.into_iter().map(|option| option.draw(rng)).collect();
        Configuration {
            program: kind.program,
            command: kind.command.iter().map(|&word| word.to_owned()).collect(),
            fixed,
            drawn,
            resume: kind.resume.map(|text| words(text, &self.base)),
        }
    }
}

/// The two commands that train on data are drawn more often than the others.
fn weighted(rng: &mut ChaCha8Rng) -> usize {
    if rng.random_bool(0.6) { rng.random_range(0..2) } else { rng.random_range(0..KINDS.len()) }
}

impl Configuration {
    /// The command that starts it.
    pub(crate) fn start(&self, out: &Path) -> Vec<String> {
        let drawn = self.drawn.iter().flatten().cloned();
        let out = ["--out".to_owned(), out.display().to_string()];
        self.command.iter().chain(&self.fixed).cloned().chain(drawn).chain(out).collect()
    }

    /// The command that continues it.
    pub(crate) fn resume(&self, out: &Path) -> Vec<String> {
        let Some(resume) = &self.resume else { return self.start(out) };
        let out = ["--out".to_owned(), out.display().to_string()];
        self.command.iter().chain(resume).cloned().chain(out).collect()
    }

    /// Whether it is a training run, with checkpoints.
    pub(crate) fn trains(&self) -> bool {
        self.resume.is_some()
    }

    /// The configuration without half of its drawn options, after the program has refused it.
    pub(crate) fn halved(mut self, rng: &mut ChaCha8Rng) -> Self {
        let keep = self.drawn.len() / 2;
        let first = (keep > 0).then(|| self.drawn.remove(0));
        let others = self.drawn.into_iter().choose_multiple(rng, keep.saturating_sub(1));
        self.drawn = first.into_iter().chain(others).collect();
        self
    }

    /// The command in one line.
    pub(crate) fn describe(&self) -> String {
        format!("{} {}", self.program, self.start(Path::new("RUN")).join(" "))
    }
}

const UNET: &str = "channels = 32\nchannel_mult = [1]\nres_blocks = 1\nattention_at = []\n";
const DIT: &str = "kind = \"dit\"\nwidth = 16\ndepth = 1\nheads = 2\npatch = 4\n";
const SMALL: &str = "preset = \"quickstart\"\ndata = \"digits\"\nsampling = { solver = \"euler\", num_steps = 2, cfg_scale = 1.5, guidance = \"apg\" }\n\
                     coupling = \"independent\"\nlabel_drop = 0.1\n";

/// Makes the files and runs that configurations refer to.
fn make_materials(programs: &Programs, base: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(base)?;
    for (name, model) in [("unet.toml", UNET), ("dit.toml", DIT)] {
        fs::write(base.join(name), format!("{SMALL}[model]\n{model}"))?;
    }
    let row =
        |i: i32| format!("{},{},{},{}\n", i % 7, f64::from(i * i % 11) / 3.0, i % 2, ["x", "y", "z"][i as usize % 3]);
    fs::write(base.join("table.csv"), "a,b,c,kind\n".to_owned() + &(0..60).map(row).collect::<String>())?;
    let small = "--steps 4 --batch-size 4 --sample-every 0 --out";
    for (program, text) in [
        ("cifar-train", format!("train --config BASE/unet.toml --conditional true {small} BASE/teacher")),
        (
            "cifar-train",
            format!("vqvae --channels 32 --codes 8 --code-dim 2 --channel-mult 1 {small} BASE/autoencoder"),
        ),
        ("cifar-train", "reflow pairs --checkpoint BASE/teacher --num-steps 2 --num-pairs 20 --out BASE/pairs".into()),
        ("tabular-train", format!("train --data moons --rows 200 --widths 8,8 {small} BASE/points")),
    ] {
        let words = words(&text, base);
        programs.text(program, &words.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn subjects() -> Subjects {
        let flags = help::read("      --path <PATH>\n      --clip <NORM>\n      --teacher-steps <N>\n");
        let (drawn, _) = options::sort(&flags, &named::read("## P (`--path`)\n| `linear` |  |  | x |\n"));
        Subjects { base: "/base".into(), options: vec![drawn; KINDS.len()], unknown: BTreeSet::new() }
    }

    #[test]
    fn the_first_configurations_are_of_all_fast_commands_and_a_seed_repeats_them() {
        let draw = |number, seed| subjects().draw(number, 3, &mut ChaCha8Rng::seed_from_u64(seed));
        let commands: BTreeSet<String> =
            (0..FAST).map(|n| draw(n, 1)).map(|c| format!("{} {:?}", c.program, c.command)).collect();
        assert_eq!(commands.len(), FAST);
        assert_eq!(draw(3, 5).describe(), draw(3, 5).describe());
        assert!((0..20).any(|seed| draw(0, seed).describe() != draw(0, 20).describe()));
    }

    #[test]
    fn options_with_much_behind_them_are_drawn_often_and_stay_longest() {
        let flag = |name: &str| help::Flag {
            name: name.into(),
            value: Some("N".into()),
            default: Some("2".into()),
            ..help::Flag::default()
        };
        let flags: Vec<help::Flag> =
            (0..40).map(|n| flag(&format!("other-{n}"))).chain([flag("task"), flag("coupling")]).collect();
        let (drawn, _) = options::sort(&flags, &Default::default());
        let subjects = Subjects { base: "/base".into(), options: vec![drawn; KINDS.len()], unknown: BTreeSet::new() };
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let drawn: Vec<Configuration> = (0..200).map(|n| subjects.draw(n, 0, &mut rng)).collect();
        let with = |text: &str| drawn.iter().filter(|c| c.describe().contains(text)).count();
        assert!(with("--task ") > 30 && with("--coupling ") > 30, "{} {}", with("--task "), with("--coupling "));
        assert!(drawn.iter().all(|c| c.describe().matches("--task ").count() < 2));
        let first: Vec<&Configuration> = drawn.iter().filter(|c| c.drawn[0][0] == "--task").collect();
        assert!(first.iter().all(|c| (*c).clone().halved(&mut rng).drawn[0][0] == "--task"));
    }

    #[test]
    fn fixed_options_are_not_drawn_again_and_refused_ones_are_halved() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let student = subjects().draw(2, 0, &mut rng);
        let text = student.describe();
        assert_eq!(text.matches("--teacher-steps").count(), 1, "{text}");
        assert!(text.contains("--path linear") && text.contains("--teacher /base/points"), "{text}");
        let words = student.resume(Path::new("RUN")).join(" ");
        assert_eq!(words, "reflow --teacher /base/points --resume --out RUN");
        assert_eq!(student.clone().halved(&mut rng).drawn.len(), 1);
        assert!(student.halved(&mut rng).halved(&mut rng).drawn.is_empty());
    }
}
