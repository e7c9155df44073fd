"""Writes sde.json beside itself: one stochastic path of a flow to three Gaussians, with given increments, by torchsde.
Needs: pip install torch torchsde numpy. torchsde's Heun is Stratonovich's, which is Ito's where the noise does not depend on x."""
import json
import pathlib

import numpy as np
import torch
import torchsde

torch.set_default_dtype(torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])
MEANS = torch.tensor([[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]])
VARIANCES = torch.tensor([0.09, 0.04, 0.16])
STEPS, H = 9, 3 / 32  # exact in binary, so that nine steps end where they should


def velocity(t, x):
    v = t * t * VARIANCES + (1 - t) ** 2
    off = x[:, None, :] - t * MEANS
    r = torch.softmax(torch.log(WEIGHTS) - torch.log(v) - (off**2).sum(-1) / (2 * v), 1)
    gain = ((t * VARIANCES - (1 - t)) / v)[:, None]
    return (r[:, :, None] * (MEANS + gain * off)).sum(1)


def score(t, x):
    return -(x - t * velocity(t, x)) / (1 - t)


VARIANCE = {"constant": lambda t, s: s, "sigma": lambda t, s: s * (1 - t), "sigma-squared": lambda t, s: s * (1 - t) ** 2}


class Flow(torch.nn.Module):
    noise_type = "diagonal"

    def __init__(self, kind, form, scale):
        super().__init__()
        self.sde_type, self.form, self.scale = kind, form, scale

    def f(self, t, x):
        return velocity(t, x) + 0.5 * VARIANCE[self.form](t, self.scale) * score(t, x)

    def g(self, t, x):
        return torch.sqrt(torch.as_tensor(VARIANCE[self.form](t, self.scale))) * torch.ones_like(x)


class Given(torchsde.BaseBrownian):
    """Brownian motion with given increments."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def __call__(self, ta, tb=None, return_U=False, return_A=False):
        return self.steps[round(float(ta) / H)] * H**0.5

    dtype, device = torch.float64, torch.device("cpu")
    shape = property(lambda self: self.steps[0].shape)
    levy_area_approximation = "none"
    size = lambda self: self.steps[0].shape
    __repr__ = lambda self: "Given"


rng = np.random.default_rng(0)
x0, steps = rng.standard_normal((4, 2)), rng.standard_normal((STEPS, 4, 2))
cases = []
for form, scale in [("constant", 1.0), ("sigma", 0.7), ("sigma-squared", 2.0)]:
    for name, kind, method in [("euler-maruyama", "ito", "euler"), ("heun", "stratonovich", "heun")]:
        times = torch.arange(STEPS + 1) * H
        path = torchsde.sdeint(Flow(kind, form, scale), torch.tensor(x0), times, dt=H, method=method, bm=Given(torch.tensor(steps)))
        last = path[-1]
        denoised = last + (1 - times[-1]) * velocity(times[-1], last)
        cases.append({"form": form, "scale": scale, "method": name, "path": path.tolist(), "x": denoised.tolist()})
data = {"x0": x0.tolist(), "steps": steps.tolist(), "cases": cases}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
