//! `network-counts NAME`: the operators and the memory of one step of a network, after one
//! uncounted step; like `counts`, for work inside libtorch.

use fm_benches::Failure;
use fm_benches::networks::Network;
use fm_benches::steps::{Steps, tables};
use fm_run::process_group::Group;
use fm_terminal::println;
use fm_torch::operators::count;
use std::sync::Arc;
use tch::Device;

const NAMES: [&str; 8] = [
    "unet-backward",
    "unet-forward",
    "unet-euler",
    "dit-backward",
    "dit-forward",
    "dit-euler",
    "mlp-step",
    "concat-squash-step",
];

type Work = Box<dyn FnMut() -> Result<f64, Failure>>;

fn work(name: &str) -> Result<Work, Failure> {
    let network = |name| Network::fresh(name, Device::Cpu);
    Ok(match name.rsplit_once('-') {
        Some((which @ ("unet" | "dit"), what)) => {
            let mut network = network(if which == "unet" { "tiny" } else { which })?;
            match what {
                "backward" => Box::new(move || network.train()),
                "forward" => Box::new(move || Ok(network.infer())),
                _ => Box::new(move || network.sample(2)),
            }
        }
        Some((which, _)) => {
            let table = tables()?.into_iter().find(|(name, _)| *name == which);
            let (name, table) = table.ok_or_else(|| format!("no table of {which}"))?;
            let mut steps = Steps::new(name, table, &Arc::new(Group::alone()), Device::Cpu)?;
            Box::new(move || steps.train(8))
        }
        None => return Err(format!("no work is called {name}; there is {}", NAMES.join(", ")).into()),
    })
}

fn main() -> Result<(), Failure> {
    let name = std::env::args().nth(1).unwrap_or_default();
    if name == "list" {
        println!("{}", NAMES.join("\n"));
        return Ok(());
    }
    tch::set_num_threads(1);
    let mut work = work(&name)?;
    work()?;
    let (value, counts) = count(work);
    println!(
        r#"{{"value": {:e}, "operators": {}, "allocations": {}, "bytes": {}}}"#,
        value?, counts.operators, counts.allocations, counts.bytes
    );
    Ok(())
}
