"""Positions, velocities, conversions and changes of schedule by torchcfm and facebookresearch/flow_matching -> paths.json.

pip install torch==2.11.0 torchcfm==1.0.7 flow_matching==1.0.10 && python paths.py

Everything in f64; the inputs are f32 numbers, so that an f32 program sees the same ones. "bridge" lists torchcfm's velocity, whose
1e-8 in the denominator shows near the ends; times keep away from them.
"""

import json
from pathlib import Path

import torch
from flow_matching.path import AffineProbPath
from flow_matching.path.scheduler import (
    CondOTScheduler, CosineScheduler, LinearVPScheduler, PolynomialConvexScheduler, ScheduleTransformedModel, VPScheduler,
)
from torchcfm.conditional_flow_matching import (
    ConditionalFlowMatcher, SchrodingerBridgeConditionalFlowMatcher, TargetConditionalFlowMatcher,
    VariancePreservingConditionalFlowMatcher,
)

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
ROWS, DIM = 6, 3
x0, x1, eps = (torch.randn(ROWS, DIM).float().double() for _ in range(3))
t = torch.tensor([0.01, 0.2, 0.37, 0.5, 0.81, 0.99]).float().double()
flat = lambda x: x.reshape(-1).tolist()


def matcher(m, noise):
    """torchcfm: x_t from (x0, x1, noise), and its conditional velocity there."""
    x_t = m.sample_xt(x0, x1, t, noise)
    return {"x_t": flat(x_t), "velocity": flat(m.compute_conditional_flow(x0, x1, t, x_t))}


def affine(scheduler):
    """flow_matching: the same, and the six conversions that it knows."""
    path = AffineProbPath(scheduler)
    s = path.sample(x_0=x0, x_1=x1, t=t)
    c = scheduler(t)
    # A prediction that is nobody's truth, so that errors do not cancel.
    p, tt = eps, t[:, None].expand_as(x0)
    conversions = {
        "data->velocity": path.target_to_velocity(p, s.x_t, tt), "noise->velocity": path.epsilon_to_velocity(p, s.x_t, tt),
        "velocity->data": path.velocity_to_target(p, s.x_t, tt), "noise->data": path.epsilon_to_target(p, s.x_t, tt),
        "velocity->noise": path.velocity_to_epsilon(p, s.x_t, tt), "data->noise": path.target_to_epsilon(p, s.x_t, tt),
    }
    return {
        "x_t": flat(s.x_t), "velocity": flat(s.dx_t),
        "alpha": flat(c.alpha_t), "sigma": flat(c.sigma_t), "d_alpha": flat(c.d_alpha_t), "d_sigma": flat(c.d_sigma_t),
        "conversions": {k: flat(v) for k, v in conversions.items()},
    }


class Reversed(LinearVPScheduler):
    """The training guide's schedule: the same curve with noise level for data weight, time turned round."""

    def __call__(self, t):
        c = super().__call__(1 - t)
        return type(c)(alpha_t=c.sigma_t, sigma_t=c.alpha_t, d_alpha_t=-c.d_sigma_t, d_sigma_t=-c.d_alpha_t)


def score(scheduler):
    """The score of N(alpha x1, sigma^2 I) at x_t, by autograd."""
    c = scheduler(t[:, None])
    x_t = (c.alpha_t * x1 + c.sigma_t * x0).requires_grad_()
    density = torch.distributions.Normal(c.alpha_t * x1, c.sigma_t).log_prob(x_t).sum()
    return flat(torch.autograd.grad(density, x_t)[0])


schedulers = {
    "linear": CondOTScheduler(), "trigonometric": CosineScheduler(), "vp": VPScheduler(), "linear-vp": LinearVPScheduler(),
    "linear-vp-noise": Reversed(), "polynomial:n=3": PolynomialConvexScheduler(3),
}
fields = {"cubic": lambda x, t: torch.sin(x) * (1 + t) + x**3 / 10}


def changed(old, new):
    model = ScheduleTransformedModel(lambda x, t: fields["cubic"](x, t), schedulers[old], schedulers[new])
    return flat(torch.stack([model(x=x0[i], t=t[i]) for i in range(ROWS)]))


bridge = SchrodingerBridgeConditionalFlowMatcher(sigma=0.7)
reference = {
    "inputs": {"rows": ROWS, "dim": DIM, "t": t.tolist(), "x0": flat(x0), "x1": flat(x1), "eps": flat(eps)},
    "flow_matching": {k: affine(s) for k, s in schedulers.items()},
    "torchcfm": {
        "linear": matcher(ConditionalFlowMatcher(sigma=0.0), eps),
        "linear-sigma-min:sigma_min=0.05": matcher(TargetConditionalFlowMatcher(sigma=0.05), x0),
        "constant-noise:sigma=0.3": matcher(ConditionalFlowMatcher(sigma=0.3), eps),
        "trigonometric": matcher(VariancePreservingConditionalFlowMatcher(sigma=0.0), eps),
        "schroedinger-bridge:sigma=0.7": matcher(bridge, eps),
    },
    "bridge_score_weight": bridge.compute_lambda(t).tolist(),
    "score": {k: score(s) for k, s in schedulers.items()},
    # x -> sin(x) (1 + t) + x^3 / 10, trained on the first path, sampled along the second.
    "schedule": {f"{a}|{b}": changed(a, b) for a, b in [
        ("linear", "trigonometric"), ("trigonometric", "linear"), ("linear", "polynomial:n=3"), ("vp", "trigonometric"),
        ("trigonometric", "vp"), ("linear-vp", "linear"),
    ]},
}
Path(__file__).with_suffix(".json").write_text(json.dumps(reference, indent=1))
