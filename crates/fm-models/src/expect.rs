//! Checks of shapes for functions whose documentation announces a panic.

use tch::Tensor;

/// Panics unless a tensor has these sizes; -1 stands for any.
pub(crate) fn shape(function: &str, x: &Tensor, sizes: &[i64]) {
    let found = x.size();
    let fits = found.len() == sizes.len() && found.iter().zip(sizes).all(|(found, size)| *size < 0 || found == size);
    let names: Vec<String> = sizes.iter().map(|size| if *size < 0 { "any".into() } else { size.to_string() }).collect();
    assert!(fits, "{function} takes the shape ({}), not {found:?}", names.join(", "));
}
