//! What POT found for some instances: `reference/plans.py`.

use fm_ot::cost::Metric;
use fm_ot::marginals::Marginals;
use ndarray::{Array2, s};
use serde_json::Value;

/// An instance and POT's answers.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) cost: Array2<f64>,
    pub(crate) marginals: Marginals,
    pub(crate) epsilon: f64,
    pub(crate) reg_m: f64,
    pub(crate) mass: f64,
    value: Value,
}

impl Case {
    /// A number by its name.
    pub(crate) fn number(&self, key: &str) -> f64 {
        self.value[key].as_f64().unwrap()
    }

    /// The entries of a plan.
    pub(crate) fn plan(&self, what: &str) -> Vec<f64> {
        numbers(&self.value["plans"][what])
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../reference/plans.json")).unwrap();
    let case = |value: Value| {
        let whole = |key: &str| value[key].as_u64().unwrap() as usize;
        let (kind, rows, columns) = (value["kind"].as_str().unwrap(), whole("rows"), whole("columns"));
        let (x, y) = super::instance(kind, rows.max(columns), whole("d"), whole("seed") as u64);
        let cost = Metric::SquaredEuclidean.matrix(x.slice(s![..rows, ..]), y.slice(s![..columns, ..])).unwrap();
        let number = |key: &str| value[key].as_f64().unwrap();
        Case {
            name: format!("{kind} {rows} x {columns}"),
            cost,
            marginals: Marginals::new(&numbers(&value["a"]), &numbers(&value["b"])).unwrap(),
            epsilon: number("epsilon"),
            reg_m: number("reg_m"),
            mass: number("mass"),
            value,
        }
    };
    all.into_iter().map(case).collect()
}
