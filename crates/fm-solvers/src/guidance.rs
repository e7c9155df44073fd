//! Classifier-free guidance: a class-conditional network as a velocity field over tensors.
//!
//! v(x, t) = v_u + s (v_c - v_u), with v_c the prediction for the asked classes and v_u the one for the null class. s = 1 is
//! the conditional field, s = 0 the unconditional one, s > 1 exaggerates the class. Both come from one forward pass over a
//! doubled batch. Source: Ho and Salimans, "Classifier-Free Diffusion Guidance" (2022).

use fm_core::{field::VelocityField, tensor::VelocityModel};
use tch::{Kind, Tensor, no_grad};

/// A network without conditions, as a field.
#[derive(Debug)]
pub struct Unconditional<'a>(pub &'a dyn VelocityModel);

impl VelocityField<Tensor> for Unconditional<'_> {
    fn velocity(&self, x: &Tensor, t: f64) -> Tensor {
        no_grad(|| self.0.forward_t(x, &times(x, t), None, false).to_kind(Kind::Float))
    }
}

/// A class-conditional network under guidance, as a field.
#[derive(Debug)]
pub struct Guided<'a> {
    /// The network.
    pub model: &'a dyn VelocityModel,
    /// The class of each row, int64, (B).
    pub classes: Tensor,
    /// The index of the null class, which stands for "no condition".
    pub null_class: i64,
    /// Guidance scale s.
    pub scale: f64,
}

impl VelocityField<Tensor> for Guided<'_> {
    fn velocity(&self, x: &Tensor, t: f64) -> Tensor {
        no_grad(|| {
            if self.scale == 1.0 || self.scale == 0.0 {
                let null = self.classes.full_like(self.null_class);
                let classes = if self.scale == 1.0 { &self.classes } else { &null };
                return self.model.forward_t(x, &times(x, t), Some(classes), false).to_kind(Kind::Float);
            }
            let doubled = Tensor::cat(&[x, x], 0);
            let classes = Tensor::cat(&[&self.classes, &self.classes.full_like(self.null_class)], 0);
            let v = self.model.forward_t(&doubled, &times(&doubled, t), Some(&classes), false).to_kind(Kind::Float);
            let halves = v.chunk(2, 0);
            // lerp is u + s (c - u): the formula above in one kernel.
            halves[1].lerp(&halves[0], self.scale)
        })
    }
}

fn times(x: &Tensor, t: f64) -> Tensor {
    Tensor::full([x.size()[0]], t, (Kind::Float, x.device()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Predicts the class index, so that guidance can be checked by hand.
    #[derive(Debug)]
    struct ClassIndex;

    impl VelocityModel for ClassIndex {
        fn forward_t(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>, _train: bool) -> Tensor {
            x.zeros_like() + condition.expect("a class").to_kind(Kind::Float).view([-1, 1])
        }
    }

    #[test]
    fn guidance_is_its_formula() {
        let x = Tensor::zeros([2, 1], (Kind::Float, tch::Device::Cpu));
        for (scale, want) in [(0.0, [10., 10.]), (1.0, [1., 4.]), (3.0, [-17., -8.]), (0.5, [5.5, 7.])] {
            let classes = Tensor::from_slice(&[1i64, 4]);
            let field = Guided { model: &ClassIndex, classes, null_class: 10, scale };
            assert_eq!(Vec::<f32>::try_from(field.velocity(&x, 0.5).view(-1)).unwrap(), want);
        }
    }
}
