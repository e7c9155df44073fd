//! The device: whether CUDA loads, the number of devices, and their memory.

use crate::context::Context;
use crate::report::Report;
use fm_torch::device::cuda_devices;
use fm_torch::memory::device_memory;
use serde_json::json;
use tch::{Kind, Tensor};

pub(crate) fn run(context: &Context, report: &mut Report) {
    match cuda_devices() {
        Ok(count) => report.line("CUDA", true, json!({"devices": count, "device": format!("{:?}", context.device)})),
        Err(error) => report.line("CUDA", context.device == tch::Device::Cpu, json!({"error": error.to_string()})),
    }
    report.attempt("a sum on the device", |report| {
        let sum = Tensor::ones([1 << 20], (Kind::Float, context.device)).sum(Kind::Double).double_value(&[]);
        report.bounded("a sum on the device", (sum - f64::from(1 << 20)).abs(), 0.0);
        Ok(())
    });
    let memory = device_memory(context.device).map(|m| json!({"allocated": m.allocated, "reserved": m.reserved}));
    let reason = "libtorch has no allocator statistics for this device";
    report.line("memory", true, memory.unwrap_or_else(|| json!({"skipped": reason})));
}
