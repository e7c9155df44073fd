//! Reads a Chrome trace of libtorch's profiler: kernels, launches, synchronizations, copies, and
//! the attention operators used.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Summary of a trace.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// Kernels that ran on the device.
    pub(crate) kernels: usize,
    /// Calls that launch a kernel.
    pub(crate) launches: usize,
    /// Calls that wait for the device.
    pub(crate) synchronizations: usize,
    /// Operators of libtorch.
    pub(crate) operators: usize,
    /// Copies by direction, such as "Memcpy HtoD (Pageable -> Device)".
    pub(crate) copies: BTreeMap<String, usize>,
    /// Attention operators, and the number of calls of each.
    pub(crate) attention: BTreeMap<String, usize>,
    /// Kernels, or operators if there are no kernels: calls and microseconds.
    times: BTreeMap<String, (usize, f64)>,
}

const ATTENTION: &str = "aten::_scaled_dot_product_";

impl Summary {
    /// `None` if the JSON is not a trace.
    pub(crate) fn of(trace: &Value) -> Option<Self> {
        let mut found = Self::default();
        let (mut kernels, mut operators) = (BTreeMap::new(), BTreeMap::new());
        for event in trace["traceEvents"].as_array()? {
            let text = |key: &str| event[key].as_str().unwrap_or_default();
            if text("ph") != "X" {
                continue;
            }
            let (name, microseconds) = (text("name"), event["dur"].as_f64().unwrap_or(0.0));
            let add = |times: &mut BTreeMap<String, (usize, f64)>| {
                let entry = times.entry(name.to_owned()).or_default();
                *entry = (entry.0 + 1, entry.1 + microseconds);
            };
            match text("cat") {
                "kernel" => {
                    found.kernels += 1;
                    add(&mut kernels);
                }
                "cuda_runtime" | "cuda_driver" => {
                    found.launches += usize::from(name.contains("Launch"));
                    found.synchronizations += usize::from(name.contains("Synchronize"));
                }
                "gpu_memcpy" => *found.copies.entry(name.to_owned()).or_default() += 1,
                "cpu_op" => {
                    found.operators += 1;
                    add(&mut operators);
                    if name.starts_with(ATTENTION) && !name.ends_with("_backward") {
                        *found.attention.entry(name.to_owned()).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        found.times = if kernels.is_empty() { operators } else { kernels };
        Some(found)
    }

    /// The entries that took longest.
    pub(crate) fn top(&self, count: usize) -> Vec<Value> {
        let mut all: Vec<_> = self.times.iter().collect();
        all.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
        let shortened = |name: &str| name.chars().take(100).collect::<String>();
        let row = |(name, (calls, microseconds)): (&String, &(usize, f64))| json!({"name": shortened(name), "calls": calls, "ms": (microseconds / 10.0).round() / 100.0});
        all.into_iter().take(count).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_summed_up() {
        let event = |cat: &str, name: &str, dur: f64| json!({"ph": "X", "cat": cat, "name": name, "dur": dur});
        let trace = json!({"traceEvents": [
            event("cpu_op", "aten::_scaled_dot_product_flash_attention", 5.0),
            event("cpu_op", "aten::_scaled_dot_product_flash_attention_backward", 5.0),
            event("cuda_runtime", "cudaLaunchKernel", 2.0),
            event("cuda_runtime", "cudaLaunchKernelExC", 2.0),
            event("cuda_driver", "cuLaunchKernel", 2.0),
            event("cuda_runtime", "cudaStreamSynchronize", 2.0),
            event("cuda_runtime", "cudaMemcpyAsync", 2.0),
            event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 1.0),
            event("kernel", "gemm", 10.0),
            event("kernel", "gemm", 15.0),
            event("kernel", "norm", 20.0),
            {"ph": "M", "cat": "kernel", "name": "metadata"},
        ]});
        let found = Summary::of(&trace).unwrap();
        assert_eq!((found.kernels, found.launches, found.synchronizations, found.operators), (3, 3, 1, 2));
        assert_eq!(found.copies["Memcpy HtoD (Pageable -> Device)"], 1);
        assert_eq!(found.attention, [("aten::_scaled_dot_product_flash_attention".to_owned(), 1)].into());
        assert_eq!(found.top(1), [json!({"name": "gemm", "calls": 2, "ms": 0.03})]);
        assert_eq!(Summary::of(&json!({})), None);
    }
}
