"""Writes flow_map.json beside itself: the targets of the tasks of flow maps for an MLP, in f64, with derivatives by torch.func.jvp.

The published formulas, in which time runs from data (0) to noise (1), z_t = (1 - t) x + t e and v = e - x. The file has the times of this project,
1 - t, and velocities of the opposite sign. Needs: pip install torch.
"""
import json
import pathlib

import torch
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
DIM, WIDTH, ROWS = 3, 6, 5
weights = {"net.0.weight": torch.randn(WIDTH, DIM + 1), "net.0.bias": torch.randn(WIDTH), "interval.weight": torch.randn(WIDTH, 1),
           "net.2.weight": torch.randn(DIM, WIDTH), "net.2.bias": torch.randn(DIM)}


def ours(x, t, h):
    y = F.linear(torch.cat([x, t[:, None]], 1), weights["net.0.weight"], weights["net.0.bias"]) + h[:, None] * weights["interval.weight"].T
    return F.linear(F.gelu(y), weights["net.2.weight"], weights["net.2.bias"])


def u(z, t, r):
    """The mean velocity from t down to r, in the published direction."""
    return -ours(z, 1 - t, t - r)


data, noise = torch.randn(ROWS, DIM), torch.randn(ROWS, DIM)
r, l = torch.rand(ROWS) / 2, torch.rand(ROWS)
t = r + torch.rand(ROWS) / 2
column = lambda values: values[:, None]
z, v = column(1 - t) * data + column(t) * noise, noise - data


def split(l):
    s = (1 - l) * t + l * r
    first = u(z, t, s)
    z_s = z - column(t - s) * first
    return (column(t - s) * first + column(s - r) * u(z_s, s, r)) / column(t - r)


def mean_flow(along):
    _, d = torch.func.jvp(u, (z, t, r), (along, torch.ones_like(t), torch.zeros_like(r)))
    return v - column(t - r) * d


def lagrangian():
    end = lambda r: z - column(t - r) * u(z, t, r)
    end_now, _ = torch.func.jvp(end, (r,), (torch.ones_like(r),))
    _, du = torch.func.jvp(lambda r: u(z, t, r), (r,), (torch.ones_like(r),))
    # d/dr X = u - (t - r) d/dr u is to be the velocity at X.
    return u(end_now, r, r) + column(t - r) * du


# With classes: their one-hot rows are further inputs of the first layer; the last class is the null class.
CLASSES, NULL, OMEGA, KAPPA = 3, 2, 1.5, 0.4
weights |= {"classes": torch.randn(WIDTH, CLASSES)}
labels = torch.tensor([0, 1, 2, 0, 1])


def ours_of(labels):
    def u(z, t, r):
        x, t, h = z, 1 - t, t - r
        inputs = torch.cat([x, t[:, None], F.one_hot(labels, CLASSES).to(x)], 1)
        first = torch.cat([weights["net.0.weight"], weights["classes"]], 1)
        y = F.linear(inputs, first, weights["net.0.bias"]) + h[:, None] * weights["interval.weight"].T
        return -F.linear(F.gelu(y), weights["net.2.weight"], weights["net.2.bias"])
    return u


def guided():
    """The guided velocity, and MeanFlow's target with it as the velocity and as the direction (algorithm of the paper)."""
    u_class, u_null = ours_of(labels), ours_of(torch.full_like(labels, NULL))
    mixed = OMEGA * v + KAPPA * u_class(z, t, t) + (1 - OMEGA - KAPPA) * u_null(z, t, t)
    mixed = torch.where((labels == NULL)[:, None], v, mixed)
    _, d = torch.func.jvp(u_class, (z, t, r), (mixed, torch.ones_like(t), torch.zeros_like(r)))
    return mixed, mixed - column(t - r) * d


targets = {"split": split(l), "shortcut": split(torch.full_like(l, 0.5)), "meanflow": mean_flow(v), "imf": mean_flow(u(z, t, t)), "lsd": lagrangian()}
out = {"weights": {name: value.flatten().tolist() for name, value in weights.items()}, "x": z.flatten().tolist(), "v": (-v).flatten().tolist(),
       "t": (1 - t).tolist(), "h": (t - r).tolist(), "split": l.tolist(), "u": (-u(z, t, r)).flatten().tolist(),
       "labels": labels.tolist(), "guided": {name: (-value).flatten().tolist() for name, value in zip(["v", "meanflow"], guided())},
       "targets": {name: (-value).flatten().tolist() for name, value in targets.items()}}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
