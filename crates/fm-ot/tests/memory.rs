//! The limit of memory. One test, because the limit belongs to the process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use fm_core::coupling::{Conditions, CouplingInput};
use fm_core::rng::{Key, Stream};
use fm_ot::cost::{add_conditions, pairwise};
use fm_ot::ndarray::{Array2, ArrayView2};
use fm_ot::pairs::{barycentric, draw};
use fm_ot::transport::{partial, transport};
use fm_ot::{Marginals, Metric, OtCoupling, OtError, Plan, SinkhornOptions, assign, entropic, memory, sinkhorn};

fn refused<T: std::fmt::Debug>(found: Result<T, OtError>) {
    let error = found.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OtError::Memory { .. }), "{text}");
    assert!(text.contains("take fewer rows") && text.len() <= 300, "{text}");
}

#[test]
fn nothing_above_the_limit_is_allocated() {
    let options = SinkhornOptions::default();
    let plans = [
        Plan::Exact,
        Plan::Sinkhorn(options),
        Plan::Partial { mass: 0.5 },
        Plan::EntropicPartial { mass: 0.5, options },
        Plan::Unbalanced { reg_m: 1.0, options },
    ];
    let mut rng = Key::new(0, 0, Stream::Coupling).generator(0);
    let many = Array2::<f32>::zeros((100_000, 1));
    let view = many.view();
    for plan in plans {
        let coupling = OtCoupling::exact().plan(plan);
        refused(coupling.pair(view, view, &mut rng));
        let batch = CouplingInput { x0: view, x1: view, conditions: Conditions::None };
        let text = coupling.solve(&batch).unwrap_err().to_string();
        assert!(text.contains("100000 x 100000") && text.contains("GiB"), "{text}");
        // A cost of the caller is not computed either.
        refused(coupling.cost(|_: &[f32], _: &[f32]| f64::NAN).pair(view, view, &mut rng));
    }
    refused(Metric::Cosine.matrix(view, view));
    refused(pairwise(view, view, |_, _| 0.0));
    // A view of a number is a cost of any size without memory.
    let one = Array2::<f64>::ones((1, 1));
    let cost: ArrayView2<'_, f64> = one.broadcast((100_000, 100_000)).unwrap();
    let even = Marginals::uniform(100_000, 100_000);
    refused(assign(cost));
    refused(transport(cost, &even));
    refused(partial(cost, &even, 0.5));
    refused(sinkhorn(cost, &even, &options));
    refused(entropic::unbalanced(cost, &even, 1.0, &options));
    refused(entropic::partial(cost, &even, 0.5, &options));
    refused(draw(one.view(), 1 << 40, &mut rng));
    refused(Plan::Exact.solve(cost));

    // The number of rows that the message names fits, and a smaller limit holds everywhere.
    memory::set_limit(16 * 300 * 300);
    let rows = |n: usize| Array2::from_shape_fn((n, 2), |(i, j)| ((i * 7 + j * 3) % 11) as f32);
    let text = fm_ot::pair(rows(400).view(), rows(400).view()).unwrap_err().to_string();
    let most: usize = text.split("up to ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((290..=300).contains(&most), "{text}");
    assert!(fm_ot::pair(rows(most).view(), rows(most).view()).is_ok());
    refused(fm_ot::pair(rows(301).view(), rows(301).view()));
    // Solvers with an inner matrix need more than the exact one.
    refused(OtCoupling::sinkhorn(options).pair(rows(290).view(), rows(290).view(), &mut rng));
    refused(add_conditions(&mut Array2::ones((301, 301)), Conditions::Values(rows(301).view()), 1.0));
    refused(barycentric(Array2::ones((500, 500)).view(), rows(500).view()));
    memory::set_limit(memory::DEFAULT_LIMIT);
    assert!(OtCoupling::sinkhorn(options).pair(rows(290).view(), rows(290).view(), &mut rng).is_ok());
}
