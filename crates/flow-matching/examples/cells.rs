//! Gene counts of blood cells, as single-cell studies measure them: a flow from noise to each type
//! of cell.
//!
//! `cargo run -p flow-matching --features torch --example cells`

#![allow(clippy::print_stdout, reason = "an example prints its result")]

use flow_matching::data::{Columns, Preprocess, table::genes};
use flow_matching::metrics::energy::energy_distance;
use flow_matching::prelude::*;
use ndarray::Axis;

/// Energy distances to the cells of each of the three largest types: of generated cells of that
/// type, and of cells of all types.
pub(crate) fn distances() -> Result<Vec<(String, [f64; 2])>, DataError> {
    tch::manual_seed(0);
    let table = genes()?;
    let logs = Columns::of(&table, Preprocess::Log1pStandardize)?.apply(table.values.view())?;
    let data = Classes::new(logs.clone(), table.labels.iter().map(|label| i64::from(*label)).collect())?;
    let store = nn::VarStore::new(Device::Cpu);
    let (dim, classes) = (logs.ncols() as i64, table.classes.len() as i64);
    let net = ModelConfig::Mlp(MlpConfig { dim, classes, widths: vec![128; 3], ..MlpConfig::default() });
    let net = net.build(&store.root())?;
    let flow = FlowMatching::default().coupling(OtCoupling::exact());
    let mut trainer = Trainer::new(&store, &TrainerConfig { ema_decay: Some(0.99), ..TrainerConfig::default() })?;
    for batch in flow.batches(&data, 256)?.take(600) {
        trainer.step(&flow.loss(&net, &batch?)?)?;
    }
    let labels = &table.labels;
    let rows = |class: usize| (0..labels.len()).filter(move |i| usize::from(labels[*i]) == class);
    let mut largest: Vec<usize> = (0..table.classes.len()).collect();
    largest.sort_by_key(|class| std::cmp::Reverse(rows(*class).count()));
    let mut found = Vec::new();
    for class in largest.into_iter().take(3) {
        let cells = logs.select(Axis(0), &rows(class).collect::<Vec<_>>());
        let wanted = vec![class as i64; cells.nrows()];
        let generate = || Sampler::midpoint(20).sample_classes(&net, &flow, &wanted, Guidance::default(), 1);
        let generated = trainer.with_ema(generate)?.rows()?;
        let own = energy_distance(generated.view(), cells.view())?;
        found.push((table.classes[class].clone(), [own, energy_distance(logs.view(), cells.view())?]));
    }
    Ok(found)
}

pub(crate) fn main() -> Result<(), DataError> {
    for (name, [generated, all]) in distances()? {
        println!("{name}: energy distance {generated:.3} of generated cells, {all:.3} of cells of all types");
    }
    Ok(())
}
