//! `training-worker [DEVICE]`: our side of the comparison of training steps. Reads one request per
//! line on standard input and answers with one line of JSON.
//!
//! `make DIR` writes the tables of two networks, DIR/NAME.npy, and the weights of two more,
//! DIR/NAME.safetensors; `load DIR NAME` selects a network (`mlp`, `concat-squash`, `unet`, ...)
//! and its data; `loop STEPS` continues the training with [`fm_train::train::train`], including
//! everything in a run except files; `bare STEPS` only passes one batch through the network,
//! forwards and backwards. Both answer {"seconds", "value"}: seconds per step and the mean loss.
//! `memory STEPS` trains and answers {"before", "peak"}: resident bytes before the network was
//! built, and their peak.
//!
//! As one of several ranks, it does the same together with them: `loop` then also answers
//! {"exchange"}, the seconds per step spent in sums, and `reduce COUNT KIND TIMES` sums a vector of
//! f32 or bf16.

use fm_benches::ranks::reduce;
use fm_benches::steps::{Steps, tables, write_initial};
use fm_benches::{Failure, serve, start};
use fm_cli::memory::{peak_memory, resident_memory};
use fm_dist::ProcessGroup;
use fm_run::process_group::Group;
use ndarray::Array2;
use ndarray_npy::{read_npy, write_npy};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn main() -> Result<(), Failure> {
    let device = start()?;
    let group = Arc::new(Group::of(ProcessGroup::from_env(Duration::from_secs(300))?));
    let mut loaded: Option<Steps> = None;
    serve(|words| {
        Ok(match (words, &mut loaded) {
            (["make", dir], _) => {
                for (name, table) in tables()? {
                    write_npy(Path::new(dir).join(format!("{name}.npy")), &table)?;
                }
                write_initial(Path::new(dir))?;
                "{}".into()
            }
            (["load", dir, name], slot) => {
                let file = Path::new(dir).join(format!("{name}.npy"));
                let table = if file.exists() { read_npy(file)? } else { Array2::zeros((0, 0)) };
                *slot = Some(Steps::new(name, table, &group, device)?);
                "{}".into()
            }
            (["loop", steps], Some(loaded)) => loaded.timed(steps.parse()?, Steps::train)?,
            (["reduce", count, kind, times], _) => reduce(&group, count.parse()?, kind, times.parse()?)?,
            (["bare", steps], Some(loaded)) => loaded.timed(steps.parse()?, Steps::bare)?,
            (["memory", steps], _) => {
                let before = resident_memory().unwrap_or(0);
                Steps::new("unet", Array2::zeros((0, 0)), &group, device)?.train(steps.parse()?)?;
                format!(r#"{{"before": {before}, "peak": {}}}"#, peak_memory().unwrap_or(0))
            }
            (other, _) => return Err(format!("unknown request {other:?}, or nothing is loaded").into()),
        })
    })
}
