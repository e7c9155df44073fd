"""Writes sde_adaptive.json beside itself: states at t = 0.9 of the SDE of a flow to three Gaussians, by torchsde's Heun with 2^14
steps along a given Brownian path. The path is that of a virtual Brownian tree of 8 levels (and linear between its points), made
here from given draws by Levy's bridge. Needs: pip install torch torchsde numpy. Its Heun is Stratonovich's, which is Ito's where
the noise does not depend on x."""
import json
import pathlib

import numpy as np
import torch
import torchsde

torch.set_default_dtype(torch.float64)
WEIGHTS = torch.tensor([0.5, 0.3, 0.2])
MEANS = torch.tensor([[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]])
VARIANCES = torch.tensor([0.09, 0.04, 0.16])
ROWS, LEVELS, END = 3, 8, 0.9


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
    noise_type, sde_type = "diagonal", "stratonovich"

    def __init__(self, form, scale):
        super().__init__()
        self.form, self.scale = form, scale

    def f(self, t, x):
        return velocity(t, x) + 0.5 * VARIANCE[self.form](t, self.scale) * score(t, x)

    def g(self, t, x):
        return torch.sqrt(torch.as_tensor(VARIANCE[self.form](t, self.scale))) * torch.ones_like(x)


def tree(draws):
    """W on a grid of 2^LEVELS intervals of [0, 1]: draw 0 is W(1), draw 2^k + j the bridge in the middle of interval j of level k."""
    w = {0.0: np.zeros_like(draws[0]), 1.0: draws[0]}
    for level in range(LEVELS):
        for j in range(2**level):
            low, high = j / 2**level, (j + 1) / 2**level
            w[(low + high) / 2] = (w[low] + w[high]) / 2 + np.sqrt(high - low) / 2 * draws[2**level + j]
    return np.array([w[t] for t in sorted(w)])


class Path(torchsde.BaseBrownian):
    """A given Brownian path over [0, END], linear between its points."""

    def __init__(self, points):
        super().__init__()
        self.points = torch.tensor(points)

    def at(self, t):
        place = min(max(float(t) / END, 0.0), 1.0) * (len(self.points) - 1)
        i = min(int(place), len(self.points) - 2)
        return END**0.5 * ((1 - place + i) * self.points[i] + (place - i) * self.points[i + 1])

    def __call__(self, ta, tb=None, return_U=False, return_A=False):
        return self.at(tb) - self.at(ta)

    dtype, device = torch.float64, torch.device("cpu")
    shape = property(lambda self: self.points[0].shape)
    levy_area_approximation = "none"
    size = lambda self: self.points[0].shape
    __repr__ = lambda self: "Path"


rng = np.random.default_rng(3)
x0, draws = rng.standard_normal((ROWS, 2)), rng.standard_normal((2**LEVELS, ROWS, 2)).round(12)
cases = []
for form, scale in [("constant", 1.0), ("sigma", 2.0), ("sigma-squared", 1.5)]:
    times = torch.tensor([0.0, END])
    path = torchsde.sdeint(Flow(form, scale), torch.tensor(x0), times, dt=END / 2**14, method="heun", bm=Path(tree(draws)))
    cases.append({"form": form, "scale": scale, "x": path[-1].tolist()})
data = {"x0": x0.tolist(), "draws": draws.tolist(), "w": tree(draws)[:: 2**LEVELS // 16].tolist(), "cases": cases}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
