"""Writes guidance.json beside itself: random predictions, guided by diffusers' guiders.
Needs: pip install numpy torch diffusers.

Each of `cases` has the options of fm_solvers::guidance, the time of each evaluation, and the guided predictions, one for each pair of `main` and `weak`
that the evaluations use. `look_ahead` has rectified-CFG++, which diffusers lacks: the formula on two fields, by torch.
CFG-Zero* computes in single precision; here it gets double precision, so that the formulas are compared rather than rounding."""
import json
import pathlib

import numpy as np
import torch
from diffusers.guiders import AdaptiveProjectedGuidance, AutoGuidance, ClassifierFreeGuidance, ClassifierFreeZeroStarGuidance
from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer

torch.Tensor.float = torch.Tensor.double
STEPS = 25
generator = np.random.default_rng(0)
MAIN, WEAK = (torch.tensor(np.round(generator.standard_normal((4, 3, 3, 2, 2)) * 64) / 64) for _ in range(2))
# Rows with equal predictions, and without any.
WEAK[:, 1] = MAIN[:, 1]
MAIN[3, 2], WEAK[2, 2] = 0.0, 0.0


def case(name, guider, options, steps):
    """Guides pair k at step steps[k] of STEPS."""
    if getattr(guider, "adaptive_projected_guidance_momentum", None) is not None:
        guider.momentum_buffer = MomentumBuffer(guider.adaptive_projected_guidance_momentum)
    out = []
    for k, step in enumerate(steps):
        guider.set_state(step, STEPS, torch.tensor(step))
        out.append(guider.forward(MAIN[k], WEAK[k]).pred.flatten(1).tolist())
    return {"name": name, "options": options, "times": [step / STEPS for step in steps], "guided": out}


def apg(scale, rescale=0.0, **projection):
    names = {"norm_limit": "adaptive_projected_guidance_rescale", "momentum": "adaptive_projected_guidance_momentum", "eta": "eta"}
    given = {"adaptive_projected_guidance_rescale": 0.0} | {names[key]: value for key, value in projection.items()}
    guider = AdaptiveProjectedGuidance(guidance_scale=scale - 1, guidance_rescale=rescale, use_original_formulation=True, **given)
    return guider, {"scale": scale, "rescale": rescale, "projection": projection}


def auto(scale, rescale=0.0):
    # The layers and the dropout make diffusers' weak network; here the predictions are given.
    return AutoGuidance(scale, auto_guidance_layers=[0], dropout=0.5, guidance_rescale=rescale), {"scale": scale, "rescale": rescale}


steps = [1, 2, 3, 4]
cases = [
    case("scale", ClassifierFreeGuidance(4.0), {"scale": 4.0}, steps),
    case("no guidance", ClassifierFreeGuidance(1.0), {"scale": 1.0}, steps),
    case("interval", ClassifierFreeGuidance(4.0, start=0.08, stop=0.16), {"scale": 4.0, "interval": [0.08, 0.12]}, steps),
    case("rescale", ClassifierFreeGuidance(4.0, guidance_rescale=0.7), {"scale": 4.0, "rescale": 0.7}, steps[:2]),
    case("autoguidance", *auto(2.5), steps),
    case("autoguidance, rescale", *auto(2.5, 0.3), steps[:2]),
    case("zero star", ClassifierFreeZeroStarGuidance(4.0, zero_init_steps=1), {"scale": 4.0, "zero_star": {}}, [0, 1, 2, 3]),
    case("zero star, 3 steps", ClassifierFreeZeroStarGuidance(4.0, zero_init_steps=3), {"scale": 4.0, "zero_star": {"zero_until": 0.12}}, [1, 2, 3, 4]),
    case("zero star, rescale", ClassifierFreeZeroStarGuidance(4.0, guidance_rescale=0.2), {"scale": 4.0, "rescale": 0.2, "zero_star": {}}, steps[:2]),
    case("projection", *apg(4.0, eta=0.0), steps),
    case("projection, eta", *apg(4.0, eta=0.25), steps),
    case("projection, norm limit", *apg(4.0, eta=0.5, norm_limit=2.0), steps),
    case("projection, momentum", *apg(4.0, eta=0.0, momentum=-0.5), steps),
    case("projection, all", *apg(7.5, eta=0.1, norm_limit=3.0, momentum=-0.75), steps),
    case("projection, rescale", *apg(4.0, eta=0.0, momentum=0.5, rescale=0.4), steps[:2]),
]


def main(x, t):
    return torch.tanh(x + t)


def weak(x, t):
    return 0.5 * torch.cos(x) - t


X, H, W, T = MAIN[0].flatten(1), 0.08, 3.0, 0.4
ahead = X + H * main(X, T)
v = main(X, T) + (W - 1) * (main(ahead, T + H) - weak(ahead, T + H))
look_ahead = {"x": X.tolist(), "t": T, "time": H, "scale": W, "guided": v.tolist()}

data = {"main": MAIN.flatten(2).tolist(), "weak": WEAK.flatten(2).tolist(), "cases": cases, "look_ahead": look_ahead}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
print(len(cases), cases[0]["guided"][0][0][:3])
