//! Averages that are stored without the names of the network's tensors.
//!
//! A list holds the averages in the order of `parameters()` (torch_ema, `EMAModel` of diffusers); a
//! module with buffers for averages holds them under names without dots (`LitEma`). They are
//! matched with the named weights beside them by order and shape, or by name and shape.

use super::names::averaged;
use super::sets::{Named, Set};
use std::collections::{HashMap, HashSet};

/// Tensors of averages: the remaining names below the part, and the entries of the file.
type Group<'a> = Vec<(&'a str, usize)>;

/// Maximum number of groups that are matched, which bounds the work.
const GROUPS: usize = 64;

/// Adds a set for each group of averages that fits a network in the file. Returns the name of a
/// group that fits none.
pub(super) fn add(named: &Named<'_>, sets: &mut Vec<Set>) -> Option<String> {
    let mut groups: Vec<(String, Group<'_>)> = Vec::new();
    let mut at: HashMap<String, usize> = HashMap::new();
    let known: HashSet<usize> = sets.iter().flat_map(|set| set.picks.iter().map(|(_, i)| *i)).collect();
    for (name, i) in named.weights().filter(|(_, i)| !known.contains(i)) {
        let Some((part, rest)) = averaged(name) else { continue };
        let group = *at.entry(part.to_owned()).or_insert_with(|| {
            groups.push((part.to_owned(), Vec::new()));
            groups.len() - 1
        });
        groups[group].1.push((rest, i));
    }
    let raw: Vec<&Set> = sets.iter().filter(|set| !set.averaged).collect();
    let (mut made, mut unused) = (Vec::new(), None);
    for (part, group) in groups.iter().filter(|(_, group)| group.len() > 1).take(GROUPS) {
        let fitting = raw.iter().find_map(|set| {
            let picks = if is_list(group) { by_order(named, set, group) } else { by_name(named, set, group) };
            Some(set.renamed(part, picks?))
        });
        match fitting {
            Some(set) => made.push(set),
            None => unused = unused.or_else(|| Some(part.clone())),
        }
    }
    sets.extend(made);
    unused
}

/// Whether the names are 0, 1, ... below one name.
fn is_list(group: &[(&str, usize)]) -> bool {
    let head = |name: &str| name.rsplit_once('.').map_or(String::new(), |(head, _)| head.to_owned());
    let first = head(group[0].0);
    group
        .iter()
        .enumerate()
        .all(|(i, (name, _))| head(name) == first && name.rsplit('.').next().is_some_and(|last| last.parse() == Ok(i)))
}

/// Averages in the order of all tensors, of those without running statistics, or of those that are
/// trained; other tensors keep their values.
fn by_order(named: &Named<'_>, set: &Set, group: &[(&str, usize)]) -> Option<Vec<(String, usize)>> {
    let all = |_: &str| true;
    let parameters = |name: &str| !name.contains("running_");
    let trained = |name: &str| !name.contains("running_") && name != "pos_embed";
    let orders: [&dyn Fn(&str) -> bool; 3] = [&all, &parameters, &trained];
    orders.into_iter().find_map(|taken| {
        let names = set.picks.iter().filter(|(name, _)| taken(name));
        let fits =
            names.clone().count() == group.len() && names.zip(group).all(|((_, i), (_, j))| named.same_shape(*i, *j));
        let mut averages = group.iter();
        fits.then(|| {
            let pick = |(name, i): &(String, usize)| {
                let average = if taken(name) { averages.next().map_or(*i, |(_, j)| *j) } else { *i };
                (name.clone(), average)
            };
            set.picks.iter().map(pick).collect()
        })
    })
}

/// Averages whose names are those of the network without dots, below one name.
fn by_name(named: &Named<'_>, set: &Set, group: &[(&str, usize)]) -> Option<Vec<(String, usize)>> {
    let averages: HashMap<String, usize> = group.iter().map(|(name, i)| (name.replace('.', ""), *i)).collect();
    // The module's name may come before the network's names.
    let starts = [set.prefix.replace('.', ""), String::new()];
    let components: Vec<&str> = set.prefix.split('.').filter(|c| !c.is_empty()).collect();
    let later = (1..components.len()).map(|i| components[i..].concat());
    starts.into_iter().chain(later).find_map(|start| {
        let mut found = 0;
        let mut pick = |(name, i): &(String, usize)| {
            let average = averages.get(&format!("{start}{}", name.replace('.', ""))).copied();
            let average = average.filter(|j| named.same_shape(*i, *j));
            found += usize::from(average.is_some());
            // Positions are fixed, and so are not averaged.
            average.or((name == "pos_embed").then_some(*i)).map(|j| (name.clone(), j))
        };
        let picks: Option<Vec<_>> = set.picks.iter().map(&mut pick).collect();
        picks.filter(|_| found == group.len())
    })
}
