//! `models-worker [DEVICE]`: our side of the comparison of networks. Reads one request a line on standard input and answers with one line of JSON.
//!
//! `make DIR` writes each network's weights; `load DIR NAME` reads one, `build CHANNELS SIDE ROWS` makes a U-Net of that size; `train` does one forward
//! and backward pass on its batch, `infer` one forward pass, `sample STEPS` carries the batch to samples. They answer {"seconds", "value"}, the value
//! being the loss, or the mean absolute output, that the peers must find too; `memory` answers {"peak"}.

use fm_benches::networks::{Network, make};
use fm_benches::{Failure, peak, serve, start};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Failure> {
    let device = start()?;
    let mut loaded: Option<Network> = None;
    serve(|words| {
        Ok(match (words, &mut loaded) {
            (["make", dir], _) => {
                make(Path::new(dir))?;
                "{}".into()
            }
            (["load", dir, name], slot) => {
                *slot = Some(Network::load(Path::new(dir), name, device)?);
                "{}".into()
            }
            (["build", channels, side, rows], slot) => {
                *slot = Some(Network::unet(channels.parse()?, side.parse()?, rows.parse()?, device)?);
                "{}".into()
            }
            (["memory"], _) => format!(r#"{{"peak": {}}}"#, peak()?),
            (["train"], Some(network)) => timed(|| network.train())?,
            (["infer"], Some(network)) => timed(|| Ok(network.infer()))?,
            (["sample", steps], Some(network)) => {
                let steps = steps.parse()?;
                timed(|| network.sample(steps))?
            }
            (other, _) => return Err(format!("unknown request {other:?}, or nothing is loaded").into()),
        })
    })
}

fn timed(work: impl FnOnce() -> Result<f64, Failure>) -> Result<String, Failure> {
    let started = Instant::now();
    let value = work()?;
    Ok(format!(r#"{{"seconds": {:e}, "value": {value:e}}}"#, started.elapsed().as_secs_f64()))
}
