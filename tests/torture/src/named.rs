//! The named options, as docs/options.md lists them: their names and the ranges of their
//! parameters.

use rand::Rng;
use std::collections::BTreeMap;

/// A name that can be chosen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
}

/// A number that belongs to a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter {
    name: String,
    default: f64,
    low: f64,
    high: f64,
    whole: bool,
}

/// Reads the page: for each option, without dashes, its names.
pub(crate) fn read(page: &str) -> BTreeMap<String, Vec<Named>> {
    let mut found: BTreeMap<String, Vec<Named>> = BTreeMap::new();
    let mut option = None;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            option = title.rsplit_once("(`--").and_then(|(_, rest)| rest.split_once('`')).map(|(name, _)| name);
        }
        let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let name = cells.first().and_then(|cell| cell.strip_prefix("| `")?.strip_suffix('`'));
        if let (Some(option), Some(name), Some(parameters)) = (option, name, line.split('|').nth(3)) {
            let parameters = parameters.split(';').filter_map(parameter).collect();
            found.entry(option.into()).or_default().push(Named { name: name.into(), parameters });
        }
    }
    found
}

/// `sigma = 0.1 (from 0 to 100)`, `n = 2 (above 0 and at most 100)`.
fn parameter(text: &str) -> Option<Parameter> {
    let (name, rest) = text.trim().split_once(" = ")?;
    let (default, range) = rest.split_once(" (")?;
    let numbers: Vec<f64> = range.split([' ', ')']).filter_map(|word| word.parse().ok()).collect();
    let [low, high] = numbers[..] else { return None };
    let whole = range.contains("whole numbers");
    Some(Parameter { name: name.into(), default: default.parse().ok()?, low, high, whole })
}

impl Named {
    /// Whether a text is this name, with or without parameters.
    pub(crate) fn is(&self, text: &str) -> bool {
        text.split(':').next() == Some(self.name.as_str())
    }

    /// The name, in half of the cases with values for its parameters near the defaults.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> String {
        if self.parameters.is_empty() || rng.random_bool(0.5) {
            return self.name.clone();
        }
        let values: Vec<String> =
            self.parameters.iter().map(|parameter| format!("{}={}", parameter.name, parameter.draw(rng))).collect();
        format!("{}:{}", self.name, values.join(","))
    }
}

impl Parameter {
    /// A value between half of the default and twice the default. A value at the lower end would
    /// not be valid for all parameters.
    fn draw(&self, rng: &mut impl Rng) -> f64 {
        let near = self.default * rng.random_range(-1.0f64..1.0).exp2();
        let value = if self.whole { near.round() } else { (near * 1e6).round() / 1e6 };
        if value > self.low && value <= self.high { value } else { self.default }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const PAGE: &str = "\
## Paths (`--path`)

| option | also | parameters | outside reference |
|---|---|---|---|
| `linear` | `cond-ot`, `rectified-flow` |  | torchcfm |
| `vp` |  | beta_min = 0.1 (above 0 and at most 1000); beta_max = 20 (above 0 and at most 1000) | flow_matching |
| `discrete` |  | k = 4 (from 1 to 5 in whole numbers) | SciPy |
";

    #[test]
    fn names_and_ranges_are_read_from_the_page() {
        let paths = &read(PAGE)["path"];
        assert_eq!(paths.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(), ["linear", "vp", "discrete"]);
        assert_eq!((paths[0].parameters.len(), paths[1].parameters.len()), (0, 2));
        let k = &paths[2].parameters[0];
        assert_eq!((k.low, k.high, k.whole, k.default), (1.0, 5.0, true, 4.0));
    }

    #[test]
    fn drawn_parameters_lie_in_their_ranges() {
        let (paths, mut rng) = (read(PAGE), ChaCha8Rng::seed_from_u64(1));
        let drawn: Vec<String> = (0..200).map(|_| paths["path"][2].draw(&mut rng)).collect();
        let known = ["discrete", "discrete:k=2", "discrete:k=3", "discrete:k=4", "discrete:k=5"];
        assert!(drawn.iter().all(|text| known.contains(&text.as_str())), "{drawn:?}");
        assert!(known.iter().all(|text| drawn.iter().any(|d| d == text)), "{drawn:?}");
        assert!((0..50).any(|_| paths["path"][1].draw(&mut rng).starts_with("vp:beta_min=0.0")));
    }

    /// The page of this repository: each section has an option with names.
    #[test]
    fn the_page_of_this_repository_is_read_completely() {
        let page = include_str!("../../../docs/options.md");
        let found = read(page);
        assert_eq!(found.len(), page.lines().filter(|line| line.starts_with("## ")).count());
        assert_eq!(found.values().map(Vec::len).sum::<usize>(), page.lines().filter(|l| l.starts_with("| `")).count());
    }
}
