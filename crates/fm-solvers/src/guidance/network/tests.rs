//! Networks under guidance, and pairs of their predictions.

use super::*;

/// Predicts the class index, so that guidance can be checked by hand.
#[derive(Debug)]
struct ClassIndex;

impl VelocityModel for ClassIndex {
    fn forward(&self, x: &Tensor, _t: &Tensor, condition: Option<&Tensor>) -> Tensor {
        x.zeros_like() + condition.expect("a class").to_kind(Kind::Float).view([-1, 1])
    }
}

fn guided(scale: f64, interval: (f64, f64)) -> Guided<'static> {
    Guided { model: &ClassIndex, conditions: Tensor::from_slice(&[1i64, 4]), null_class: 10, scale, interval }
}

fn values(field: &Guided<'_>, t: &[f64], rows: &[usize]) -> Vec<f32> {
    let x = Tensor::zeros([t.len() as i64, 1], (Kind::Float, tch::Device::Cpu));
    Vec::try_from(field.velocities(&x, t, rows).view(-1)).unwrap()
}

/// One solve with an interval has the steps of three solves, one for each piece.
#[test]
fn multistep_solvers_restart_where_guidance_starts_and_ends() {
    let field = fm_core::field::SharedTime(guided(3.0, (0.2, 0.55)));
    let grid = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
    let x0 = || Tensor::from_slice(&[0.5f32, -1.0]).view([2, 1]);
    let solve = |x, grid: &[f64]| {
        let (path, method) = (fm_core::path::PathKind::Linear, crate::multistep::MultistepMethod::Pec);
        crate::multistep::solve(&field, &path, x, grid, method, crate::SaveAt::End).unwrap().x
    };
    let whole = solve(x0(), &grid);
    let pieces = solve(solve(solve(x0(), &grid[..3]), &grid[2..7]), &grid[6..]);
    assert!(whole.equal(&pieces) && !whole.equal(&solve(x0(), &[0.0, 0.7])));
}

/// A pair under a scale has the velocities of the guided field, for all rows and for some.
#[test]
fn a_doubled_network_is_guided_as_a_pair() {
    let options = GuidanceOptions { scale: 3.0, interval: (0.2, 0.55), ..GuidanceOptions::default() };
    let pair = Doubled(guided(1.0, (0.0, 1.0)));
    let guider = crate::guidance::Guider::new(pair, options, fm_core::prediction::Prediction::Velocity).unwrap();
    let alone = guided(3.0, (0.2, 0.55));
    let of = |t: &[f64], rows: &[usize]| {
        let x = Tensor::zeros([t.len() as i64, 1], (Kind::Float, tch::Device::Cpu));
        Vec::<f32>::try_from(guider.velocities(&x, t, rows).view(-1)).unwrap()
    };
    let cases: [(&[f64], &[usize]); 4] =
        [(&[0.1, 0.1], &[0, 1]), (&[0.3, 0.3], &[0, 1]), (&[0.3, 0.9], &[0, 1]), (&[0.5], &[1])];
    for (t, rows) in cases {
        assert_eq!(of(t, rows), values(&alone, t, rows), "{t:?}");
    }
    assert_eq!(of(&[0.3, 0.3], &[0, 1]), [-17.0, -8.0]); // 1 + 2 (1 - 10), 4 + 2 (4 - 10)
    let x = |rows: i64| Tensor::zeros([rows, 1], (Kind::Float, tch::Device::Cpu));
    assert!(RowField::check(&guider, &x(2)).is_ok() && RowField::check(&guider, &x(3)).is_err());
    assert_eq!(GuidanceOptions::from(Guidance { scale: 3.0, interval: (0.2, 0.55) }), options);
}

/// Predicts each row's time; the sign tells how many times the network received.
#[derive(Debug)]
struct Clock;

impl VelocityModel for Clock {
    fn forward(&self, x: &Tensor, t: &Tensor, _: Option<&Tensor>) -> Tensor {
        let sign = if t.size() == [1] { -1.0 } else { 1.0 };
        x.zeros_like() + t.view([-1, 1]) * sign
    }
}

#[test]
fn a_time_that_all_rows_share_is_given_once() {
    let x = Tensor::zeros([3, 1], (Kind::Float, tch::Device::Cpu));
    let of = |t: &[f64]| Vec::<f32>::try_from(Unconditional(&Clock).velocities(&x, t, &[0, 1, 2]).view(-1)).unwrap();
    assert_eq!(of(&[0.25, 0.25, 0.25]), [-0.25, -0.25, -0.25]);
    assert_eq!(of(&[0.25, 0.25, 0.5]), [0.25, 0.25, 0.5]);
    let guided = |t: &[f64]| {
        let conditions = Tensor::from_slice(&[0i64, 0, 0]);
        let field = Guided { model: &Clock, conditions, null_class: 1, scale: 2.0, interval: (0.0, 1.0) };
        Vec::<f32>::try_from(field.velocities(&x, t, &[0, 1, 2]).view(-1)).unwrap()
    };
    assert_eq!(guided(&[0.25, 0.25, 0.25]), [-0.25, -0.25, -0.25]);
    assert_eq!(guided(&[0.25, 0.5, 0.75]), [0.25, 0.5, 0.75]);
}

#[test]
fn a_solver_refuses_other_classes_than_rows_and_settings_that_turn_guidance_off() {
    let good = guided(2.0, (0.0, 1.0));
    let x = |rows: i64| Tensor::zeros([rows, 1], (Kind::Float, tch::Device::Cpu));
    assert_eq!(good.check(&x(2)), Ok(()));
    assert!(matches!(good.check(&x(3)), Err(Error::Rows { expected: 3, got: 2, .. })));
    for bad in [guided(f64::NAN, (0.0, 1.0)), guided(2.0, (0.6, 0.2)), guided(2.0, (f64::NAN, 1.0))] {
        assert!(matches!(bad.check(&x(2)), Err(Error::Value { .. })), "{bad:?}");
    }
    let (options, grid) = (crate::AdaptiveOptions::default(), [0.0, 1.0]);
    let tableau = &crate::tableau::DOPRI5;
    let solved = crate::per_sample::solve(&good, x(3), (0.0, 1.0), tableau, &options, crate::SaveAt::End);
    assert!(matches!(solved, Err(crate::SolveError::Path(Error::Rows { .. }))));
    let together = fm_core::field::SharedTime(guided(2.0, (0.0, 1.0)));
    let solved = crate::fixed::solve(&together, x(3), &grid, tableau, crate::SaveAt::End);
    assert!(matches!(solved, Err(crate::SolveError::Path(Error::Rows { .. }))));
}

/// Predicts a fixed number of rows for any input.
#[derive(Debug)]
struct Rows(i64);

impl VelocityModel for Rows {
    fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        Tensor::zeros([self.0, 1], (x.kind(), x.device()))
    }
}

#[test]
fn predictions_for_another_number_of_rows_are_not_guided() {
    for rows in [0, 1, 2, 3, 5] {
        let (model, conditions) = (Rows(rows), Tensor::from_slice(&[1i64, 4]));
        let field = Guided { model: &model, conditions, null_class: 10, scale: 2.0, interval: (0.0, 1.0) };
        let x = Tensor::zeros([2, 1], (Kind::Float, tch::Device::Cpu));
        let options = crate::AdaptiveOptions::default();
        let tableau = &crate::tableau::DOPRI5;
        let solved = crate::per_sample::solve(&field, x, (0.0, 1.0), tableau, &options, crate::SaveAt::End);
        assert!(matches!(solved, Err(crate::SolveError::Shape { .. })), "{rows}");
    }
}

#[test]
fn guidance_is_its_formula() {
    for (scale, want) in [(0.0, [10., 10.]), (1.0, [1., 4.]), (3.0, [-17., -8.]), (0.5, [5.5, 7.])] {
        assert_eq!(values(&guided(scale, (0.0, 1.0)), &[0.5, 0.5], &[0, 1]), want);
    }
}

#[test]
fn rows_keep_their_classes_and_are_guided_in_the_interval_only() {
    assert_eq!(values(&guided(3.0, (0.0, 1.0)), &[0.5], &[1]), [-8.0]);
    assert_eq!(values(&guided(3.0, (0.2, 0.6)), &[0.6, 0.7], &[0, 1]), [-17.0, 4.0]);
    assert_eq!(values(&guided(3.0, (0.2, 0.6)), &[0.1, 0.7], &[0, 1]), [1.0, 4.0]);
}

/// A closure around a guided field has no `check` of the field.
#[test]
fn settings_that_turn_guidance_off_are_errors_also_inside_a_closure() {
    let x = || Tensor::zeros([2, 1], (Kind::Float, tch::Device::Cpu));
    let solve = |field: &Guided<'_>| {
        let closure = |x: &Tensor, t: f64| field.velocities(x, &[t, t], &[0, 1]);
        crate::solve(&closure, x(), 0.0..1.0, &crate::Fixed::midpoint(4))
    };
    assert!(solve(&guided(2.0, (0.0, 1.0))).is_ok());
    for bad in [guided(f64::NAN, (0.0, 1.0)), guided(2.0, (0.6, 0.2)), guided(2.0, (f64::NAN, 1.0))] {
        let reason = crate::StopReason::NonFinite { t: 0.0 };
        assert_eq!(solve(&bad).map(|_| ()), Err(crate::SolveError::Stopped { row: None, reason }), "{bad:?}");
    }
}

/// A flow map whose mean velocity is the class plus the length of the interval, for this number of
/// rows.
#[derive(Debug)]
struct Map(i64);

impl VelocityModel for Map {
    fn forward(&self, x: &Tensor, _: &Tensor, _: Option<&Tensor>) -> Tensor {
        x.zeros_like()
    }

    fn takes_intervals(&self) -> bool {
        true
    }

    fn mean_velocity(&self, x: &Tensor, _: &Tensor, h: &Tensor, given: Option<&Tensor>, _: bool) -> Option<Tensor> {
        let class = given.expect("a class").to_kind(Kind::Float).view([-1, 1]);
        Some((x.zeros_like() + class + h.view([-1, 1])).narrow(0, 0, self.0))
    }
}

#[test]
fn jumps_are_guided_by_the_time_at_which_they_start() {
    let jump = |rows, scale, interval| {
        let conditions = Tensor::from_slice(&[1i64, 4]);
        let field = Guided { model: &Map(rows), conditions, null_class: 10, scale, interval };
        let x = || Tensor::zeros([2, 1], (Kind::Float, tch::Device::Cpu));
        let solved = crate::flow_map::solve(&field, x(), &[0.0, 0.25, 1.0], crate::SaveAt::End);
        // A closure around the field has no `check`.
        let alone = field.mean_velocities(&x(), &[0.25, 0.5], &[0.5, 0.5], &[0, 1]).unwrap();
        (solved.map(|solved| Vec::<f32>::try_from(solved.x.view(-1)).unwrap()), alone)
    };
    let (solved, alone) = jump(2, 3.0, (0.2, 0.55));
    // (c + 1/4) / 4 without guidance, then 3/4 (10 + 3 (c - 10) + 3/4).
    assert_eq!(solved, Ok(vec![0.3125 - 12.1875, 1.0625 - 5.4375]));
    assert_eq!(Vec::<f32>::try_from(alone.view(-1)).unwrap(), [-16.5, -7.5]);
    for (scale, interval) in [(f64::NAN, (0.0, 1.0)), (2.0, (0.6, 0.2)), (2.0, (f64::NAN, 1.0))] {
        let (solved, alone) = jump(2, scale, interval);
        assert!(solved.is_err() && alone.isnan().all().int64_value(&[]) == 1, "{scale} {interval:?}: {alone}");
    }
    // One row must not be extended to two by the scales.
    let (solved, alone) = jump(1, 2.0, (0.0, 1.0));
    assert!(matches!(solved, Err(crate::SolveError::Shape { .. })) && alone.size() == [1, 1], "{solved:?}");
}

/// x moves to the class along straight lines; a network of its own null class.
#[derive(Debug)]
struct Straight;

impl VelocityModel for Straight {
    fn forward(&self, x: &Tensor, _: &Tensor, condition: Option<&Tensor>) -> Tensor {
        condition.map_or_else(|| x.zeros_like(), |class| class.to_kind(Kind::Float).view([-1, 1]).expand_as(x))
    }

    fn row_shape(&self) -> Option<Vec<i64>> {
        Some(vec![2])
    }

    fn null_class(&self) -> Option<i64> {
        Some(0)
    }
}

#[test]
fn a_chain_of_calls_samples_as_the_single_calls_do() {
    use crate::sampler::{Sampler, SolverName};
    let flow = fm_core::FlowMatching::default();
    let sampler = || Sampler::new(SolverName::unipc(2).unwrap(), crate::Grid::Shift { s: 3.0 }.steps(18));
    let plain = sampler().class(7).sample(&Straight, &flow, 4, 3).unwrap().x;
    let classes = sampler().sample_classes(&Straight, &flow, &[7; 4], Guidance::default(), 3).unwrap().x;
    assert!(plain.equal(&classes));
    let scaled = Guidance { scale: 3.0, ..Guidance::default() };
    let single = sampler().sample_classes(&Straight, &flow, &[7; 4], scaled, 3).unwrap().x;
    let chain = |options| sampler().guidance(options).class(7).sample(&Straight, &flow, 4, 3);
    assert!(chain(GuidanceOptions::scaled(3.0)).unwrap().x.equal(&single));
    // v_u = 0: nothing is left of the difference without its parallel part, and s is 0.
    assert!((chain(GuidanceOptions::apg(3.0)).unwrap().x - &plain).abs().max().double_value(&[]) < 1e-5);
    assert!((chain(GuidanceOptions::cfg_zero_star(3.0)).unwrap().x - single).abs().max().double_value(&[]) > 0.1);
    // The named rules give the same samples.
    for (name, options) in [("apg", GuidanceOptions::apg(3.0)), ("cfg-zero", GuidanceOptions::cfg_zero_star(3.0))] {
        let named = sampler().guidance_options(name.parse().unwrap(), (0.0, 1.0)).unwrap();
        let named = chain(GuidanceOptions { scale: 3.0, ..named }).unwrap().x;
        assert!(chain(options).unwrap().x.equal(&named), "{name}");
    }
    let without = sampler().guidance(GuidanceOptions::scaled(3.0)).sample(&Straight, &flow, 4, 3);
    assert!(without.unwrap_err().to_string().contains("samples without a class"));
    assert!(chain(GuidanceOptions::scaled(f64::NAN)).is_err());
    let model = fm_core::TrainedModel { network: Box::new(Straight), flow: flow.clone() };
    let carried = sampler().class(7).sample_model(&model, 4, 3).unwrap().x;
    assert!(carried.equal(&plain));
}

/// The chain refuses what the named rules refuse.
#[test]
fn rules_that_do_not_suit_the_sampler_are_refused_in_a_chain_of_calls() {
    use crate::sampler::Sampler;
    let flow = fm_core::FlowMatching::default();
    let euler = || Sampler::euler(4);
    let along = || Sampler { schedule: Some(fm_core::path::PathKind::Trigonometric), ..euler() };
    let noisy = || Sampler {
        stochastic: Some((Default::default(), crate::sde::Diffusion::Constant { scale: 1.0 })),
        ..euler()
    };
    let ahead = GuidanceOptions { look_ahead: Some(0.1), ..GuidanceOptions::scaled(2.0) };
    let star = GuidanceOptions::cfg_zero_star(2.0);
    for (sampler, options, text) in [
        (along(), star, "CFG-Zero* cannot be combined with another path"),
        (along(), ahead, "rectified-CFG++ cannot be combined with another path"),
        (noisy(), star, "CFG-Zero* cannot be combined with stochastic sampling"),
        (Sampler::dopri5(1e-5), GuidanceOptions::apg(2.0), "the momentum of projected guidance cannot be combined"),
    ] {
        let error = sampler.guidance(options).class(7).sample(&Straight, &flow, 4, 3).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
    let plain = GuidanceOptions::scaled(2.0);
    for (sampler, options) in [(euler(), star), (euler(), ahead), (along(), plain), (noisy(), plain)] {
        assert!(sampler.guidance(options).class(7).sample(&Straight, &flow, 4, 3).is_ok(), "{options:?}");
    }
}
