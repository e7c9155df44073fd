//! Sampling from networks: source rows, the network as a field, and the solve, in one call.

use super::{Sampler, Samples};
use crate::SolveError;
use crate::guidance::{Guidance, Guided, Unconditional};
use crate::sde::SeededNoise;
use fm_core::FlowMatching;
use fm_core::field::RowField;
use fm_core::rng::{Key, Stream};
use fm_core::state::RowCombination;
use fm_core::tensor::{VelocityModel, flat_rows, upload};
use ndarray::{Array2, ArrayView2};
use tch::{Device, Kind, Tensor};

impl Sampler {
    /// Samples of a network trained on `flow`: row r starts from row r of the source for this seed,
    /// independent of the number of rows.
    ///
    /// # Errors
    /// A network without a [row shape](VelocityModel::row_shape), or one of negative sizes; an
    /// invalid source, and the errors of [`run`](Self::run).
    pub fn sample(
        &self,
        model: &dyn VelocityModel,
        flow: &FlowMatching,
        rows: usize,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        self.sample_field(&Unconditional(model), model, flow, rows, seed)
    }

    /// One sample for each entry of `classes`, with guidance.
    ///
    /// # Errors
    /// As [`sample`](Self::sample) and [`Guided::classes`].
    pub fn sample_classes(
        &self,
        model: &dyn VelocityModel,
        flow: &FlowMatching,
        classes: &[i64],
        guidance: Guidance,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        self.sample_guided(&Guided::classes(model, classes, guidance)?, flow, seed)
    }

    /// One sample for each row of `vectors`, its condition vector, with guidance.
    ///
    /// # Errors
    /// As [`sample`](Self::sample) and [`Guided::vectors`].
    pub fn sample_vectors(
        &self,
        model: &dyn VelocityModel,
        flow: &FlowMatching,
        vectors: ArrayView2<'_, f32>,
        guidance: Guidance,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        self.sample_guided(&Guided::vectors(model, vectors, guidance)?, flow, seed)
    }

    /// One sample for each condition of a guided network.
    ///
    /// # Errors
    /// As [`sample`](Self::sample).
    pub fn sample_guided(
        &self,
        guided: &Guided<'_>,
        flow: &FlowMatching,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        self.sample_field(guided, guided.model, flow, guided.rows(), seed)
    }

    fn sample_field(
        &self,
        field: &impl RowField<Tensor>,
        model: &dyn VelocityModel,
        flow: &FlowMatching,
        rows: usize,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        self.sample_from(field, flow, source_rows(model, flow, rows, seed)?, seed)
    }

    /// Samples from source rows.
    pub(super) fn sample_from(
        &self,
        field: &impl RowField<Tensor>,
        flow: &FlowMatching,
        x0: Tensor,
        seed: u64,
    ) -> Result<Samples<Tensor>, SolveError> {
        let noise = SeededNoise::of(&x0, seed, 0);
        self.run_by(field, &flow.objective, x0, &noise, false)
    }
}

/// Rows of the source for this seed, in the shape of the network's input and on its device.
pub(super) fn source_rows(
    model: &dyn VelocityModel,
    flow: &FlowMatching,
    rows: usize,
    seed: u64,
) -> Result<Tensor, SolveError> {
    let row = model.row_shape().ok_or(SolveError::NoRowShape)?;
    if let Some(size) = row.iter().find(|n| **n < 0) {
        let (name, domain) = ("a size of the network's row shape", "at least 0");
        return Err(fm_core::Error::Value { name, domain, value: *size as f64 }.into());
    }
    let sizes = row.iter().map(|n| usize::try_from(*n).unwrap_or(0));
    let dim = sizes.fold(1, usize::saturating_mul);
    let x0 = flow.source.sample(Key::new(seed, 0, Stream::Sample), rows, dim)?;
    Ok(upload(&x0, &[&[rows as i64], &row[..]].concat(), model.device()))
}

impl Samples<Tensor> {
    /// The samples on the host, one per row, (rows, values per row).
    ///
    /// # Errors
    /// [`fm_core::Error::Memory`] for samples that cannot be copied to the host.
    pub fn rows(&self) -> Result<Array2<f32>, SolveError> {
        let flat = flat_rows(&self.x).to_device(Device::Cpu).to_kind(Kind::Float);
        let (rows, dim) = (flat.rows(), flat.size()[1] as usize);
        let unreadable = || SolveError::from(fm_core::Error::Memory { rows, dim });
        let values = Vec::<f32>::try_from(flat.contiguous().view(-1)).map_err(|_| unreadable())?;
        Array2::from_shape_vec((rows, dim), values).map_err(|_| unreadable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fixed;
    use crate::sampler::sample_with;

    /// x moves to the class (or to 2 without one) along straight lines, so the data prediction is
    /// known.
    #[derive(Debug)]
    struct Points {
        shape: Option<Vec<i64>>,
        null: Option<i64>,
    }

    impl VelocityModel for Points {
        fn forward(&self, x: &Tensor, _: &Tensor, condition: Option<&Tensor>) -> Tensor {
            match condition {
                Some(classes) => classes.to_kind(Kind::Float).view([-1, 1]).expand_as(x),
                None => x.full_like(2.0),
            }
        }

        fn row_shape(&self) -> Option<Vec<i64>> {
            self.shape.clone()
        }

        fn null_class(&self) -> Option<i64> {
            self.null
        }
    }

    fn flow() -> FlowMatching {
        FlowMatching::default().prediction(fm_core::prediction::Prediction::Data).time_clip(1e-4)
    }

    fn column(samples: &Samples<Tensor>) -> Vec<f64> {
        Vec::try_from(samples.x.to_device(Device::Cpu).to_kind(Kind::Double).narrow(1, 0, 1).view(-1)).unwrap()
    }

    #[test]
    fn networks_are_sampled_with_and_without_classes() {
        let model = Points { shape: Some(vec![3]), null: Some(9) };
        let plain = Sampler::midpoint(50).sample(&model, &flow(), 5, 1).unwrap();
        assert_eq!((plain.x.size(), plain.nfe), (vec![5, 3], 100.0));
        assert!(column(&plain).iter().all(|x| (x - 2.0).abs() < 1e-2), "{:?}", column(&plain));
        let guided = |scale| {
            let guidance = Guidance { scale, ..Guidance::default() };
            column(&Sampler::euler(100).sample_classes(&model, &flow(), &[1, 4], guidance, 1).unwrap())
        };
        let close = |got: Vec<f64>, want: [f64; 2]| got.iter().zip(want).all(|(a, b)| (a - b).abs() < 2e-2);
        assert!(close(guided(1.0), [1.0, 4.0]), "{:?}", guided(1.0));
        // 9 + 2 (c - 9).
        assert!(close(guided(2.0), [-7.0, -1.0]), "{:?}", guided(2.0));
    }

    #[test]
    fn a_solver_of_ones_own_gives_what_the_named_one_gives() {
        let model = Points { shape: Some(vec![3]), null: None };
        let named = Sampler::midpoint(10).sample(&model, &flow(), 4, 1).unwrap();
        let own = sample_with(&Fixed::midpoint(10), &model, &flow(), 4, 1).unwrap();
        assert_eq!((own.nfe, own.calls), (20.0, 20));
        assert!(own.x.equal(&named.x) && !named.x.equal(&named.x.full_like(2.0)));
    }

    #[test]
    fn rows_do_not_depend_on_how_many_there_are() {
        let model = Points { shape: Some(vec![3]), null: None };
        let flow = FlowMatching::default();
        let draw = |rows, seed| Sampler::euler(1).sample(&model, &flow, rows, seed).unwrap().x;
        assert!(draw(5, 1).narrow(0, 0, 2).equal(&draw(2, 1)) && !draw(2, 1).equal(&draw(2, 2)));
    }

    #[test]
    fn what_a_network_does_not_say_is_an_error() {
        let shapeless = Points { shape: None, null: None };
        let error = Sampler::euler(1).sample(&shapeless, &flow(), 5, 1).unwrap_err();
        assert!(error.to_string().contains("row_shape"), "{error}");
        let model = Points { shape: Some(vec![3]), null: None };
        let guidance = Guidance { scale: 2.0, ..Guidance::default() };
        let error = Sampler::euler(1).sample_classes(&model, &flow(), &[1], guidance, 1).unwrap_err();
        assert!(error.to_string().contains("null_class"), "{error}");
    }
}
