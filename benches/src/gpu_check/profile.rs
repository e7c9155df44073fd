//! A profile of three training steps.

use crate::context::Context;
use crate::networks;
use crate::report::Report;
use crate::speed::{setup, warm};
use crate::trace::Summary;
use fm_benches::Failure;
use fm_torch::profile::Profile;
use fm_train::flat::Precision;
use serde_json::json;

const STEPS: u64 = 3;
const TOP: usize = 12;

pub(crate) fn run(context: &Context, report: &mut Report) {
    for (name, config) in networks::measured(context.small) {
        report.attempt(name, |report| {
            let setup = setup(&config, if context.small { 4 } else { 128 }, Precision::Bf16);
            let mut training = warm(context, setup)?;
            let path = context.out.join(format!("trace-{name}.json"));
            let profile = Profile::start(context.device)?;
            training.train(STEPS)?;
            let trace = profile.finish()?;
            std::fs::write(&path, &trace)?;
            let summary = Summary::of(&serde_json::from_slice(&trace)?).ok_or("the trace has no events")?;
            let check = format!("{name}: profile of {STEPS} steps, bf16");
            let per_step = |count: usize| count as f64 / STEPS as f64;
            let fields = json!({
                "trace": path.file_name().map(|name| name.to_string_lossy().into_owned()),
                "kernels per step": per_step(summary.kernels),
                "launches per step": per_step(summary.launches),
                "synchronizations per step": per_step(summary.synchronizations),
                "copies": summary.copies,
                "attention": summary.attention,
                "top": summary.top(TOP),
            });
            report.line(&check, summary.operators > 0, fields);
            // Attention by plain matrix products stores all scores. A trace without kernels means
            // no GPU, or that CUPTI was not permitted.
            let by_products = summary.attention.keys().any(|name| name.ends_with("_math"));
            let fields = json!({"attention": summary.attention, "recorded kernels": summary.kernels > 0});
            report.line(&format!("{name}: attention is fused"), !by_products || summary.kernels == 0, fields);
            Ok::<(), Failure>(())
        });
    }
}
