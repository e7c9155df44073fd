//! Activations of a U-Net in training, counted in the same order as the network is built.

use super::config::UNetConfig;
use crate::network::Activations;

/// Feature maps of `width` channels that an attention block stores: normalised, rows, q, k, v,
/// heads, projection, sum.
const ATTENTION: i64 = 8;

impl UNetConfig {
    /// Estimated number of values per sample.
    pub(crate) fn activations(&self) -> Activations {
        let stages: Vec<i64> = self.widths().collect();
        let area = |stage: usize| self.image_size.iter().product::<i64>() >> (2 * stage);
        let dropout = i64::from(self.dropout > 0.0);
        // Normalised input, convolution, second normalisation, dropout, sum; FiLM stores two more.
        let res = |cin: i64, cout: i64| cin + (3 + dropout + 2 * i64::from(self.scale_shift_norm)) * cout;
        let attends = |stage: usize| i64::from(self.attention_at.contains(&(1 << stage)));
        let first = stages[0];
        let (mut width, mut skips) = (first, vec![first]);
        let mut found = Activations::default();
        found.block(first * area(0), first * area(0));
        for (stage, next) in stages.iter().enumerate() {
            for _ in 0..self.res_blocks {
                let inside = res(width, *next) + attends(stage) * ATTENTION * next;
                found.block(inside * area(stage), next * area(stage));
                width = *next;
                skips.push(width);
            }
            if stage + 1 < stages.len() {
                found.block(width * area(stage + 1), width * area(stage + 1));
                skips.push(width);
            }
        }
        let deepest = area(stages.len() - 1);
        let attention = i64::from(self.middle_attention) * ATTENTION * width;
        found.block((2 * res(width, width) + attention) * deepest, width * deepest);
        for (stage, next) in stages.iter().enumerate().rev() {
            for i in 0..=self.res_blocks {
                let joined = width + skips.pop().unwrap_or(0);
                let inside = joined + res(joined, *next) + next + attends(stage) * ATTENTION * next;
                // The upsampled map and its convolution.
                let up = if stage > 0 && i == self.res_blocks { 8 * next } else { 0 };
                found.block((inside + up) * area(stage), (next + up / 2) * area(stage));
                width = *next;
            }
        }
        found.block(first * area(0), 0);
        found
    }
}
