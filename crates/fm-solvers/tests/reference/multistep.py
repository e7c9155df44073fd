"""Writes multistep.json beside itself: points carried by the exact velocity to three equal Gaussians, by diffusers' multistep schedulers.
Needs: pip install numpy torch diffusers scipy.

`cases`: DPM-Solver++(2M) and UniPC on diffusers' own grids for flows. `uniform`: the points of options.json on equal steps; the Adams methods there are
NumPy's, with the closed-form weights (diffusers has none). diffusers divides by the weight of the data at the start, so its first time is 1e-6 rather
than 0, as in its UniPC.
The schedulers compute in single precision; here they get double precision, so that the formulas are compared rather than rounding."""
import json
import pathlib

import diffusers.schedulers.scheduling_dpmsolver_multistep as dpm
import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

MEANS = torch.tensor([[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]], dtype=torch.float64)
DEVIATION, STEPS = 0.5, 12
START = torch.tensor(np.round(np.random.default_rng(0).standard_normal((32, 2)) * 64) / 64)


class Double:
    """torch, with double in place of single precision."""

    def __getattr__(self, name):
        return torch.float64 if name == "float32" else getattr(torch, name)


dpm.torch = Double()


def velocity(x, t):
    v = t * t * DEVIATION**2 + (1 - t) ** 2
    off = x[:, None, :] - t * MEANS
    r = torch.softmax(-(off**2).sum(-1) / (2 * v), 1)
    return (r[:, :, None] * (MEANS + (t * DEVIATION**2 - (1 - t)) / v * off)).sum(1)


def carry(scheduler, sigmas):
    """Their time runs from the data at 0 to the noise at 1, and their velocity is that of the other direction."""
    scheduler.sigmas = sigmas
    x = START
    for i, timestep in enumerate(scheduler.timesteps):
        x = scheduler.step(-velocity(x, 1 - sigmas[i]), timestep, x).prev_sample
    return x.tolist()


def make(name, shift):
    if name == "dpmpp-2m":
        return DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    order = 3 if name.endswith("3") else 2
    return UniPCMultistepScheduler(solver_order=order, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


cases = []
for name in ["dpmpp-2m", "unipc", "unipc:order=3"]:
    for steps, shift in [(1, 1.0), (3, 1.0), (10, 1.0), (10, 3.0), (24, 1.0)]:
        scheduler = make(name, shift)
        scheduler.set_timesteps(steps)
        scheduler.timesteps = torch.arange(steps, 0, -1)  # they are rounded to whole numbers, and need only be distinct
        sigmas = scheduler.sigmas.double()
        cases.append({"solver": name, "times": (1 - sigmas).tolist(), "x": carry(scheduler, sigmas)})


def adams(name):
    h, x, v = 1 / STEPS, START, []
    for n in range(STEPS):
        v.append(velocity(x, n * h))
        if n == 1 and name != "ab2":
            x = before + h / 2 * (v[1] + v[0])
        elif n > 1 and name == "pec":
            x = before + h / 12 * (5 * v[-1] + 8 * v[-2] - v[-3])
        before = x
        if n == 0:
            x = x + h * v[-1]
        elif n == 1 or name != "ab3":
            x = x + h / 2 * (3 * v[-1] - v[-2])
        else:
            x = x + h / 12 * (23 * v[-1] - 16 * v[-2] + 5 * v[-3])
    return x.tolist()


uniform = {name: {"by": "NumPy, with the closed-form weights", "x": adams(name)} for name in ["ab2", "ab3", "pec"]}
for name in ["dpmpp-2m", "unipc"]:
    scheduler = make(name, 1.0)
    scheduler.set_timesteps(STEPS)
    scheduler.timesteps = torch.arange(STEPS, 0, -1)
    sigmas = torch.linspace(1, 0, STEPS + 1, dtype=torch.float64)
    sigmas[0] -= 1e-6
    uniform[name] = {"by": "diffusers", "times": (1 - sigmas).tolist(), "x": carry(scheduler, sigmas)}

data = {"means": MEANS.tolist(), "deviation": DEVIATION, "start": START.tolist(), "cases": cases, "uniform": uniform}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
print(len(cases), cases[0]["times"], uniform["unipc"]["x"][0], uniform["ab2"]["x"][0], uniform["pec"]["x"][0])
