"""Quantiles, densities and cdfs of time laws by SciPy, NumPy, diffusers and rectified-flow-pytorch -> times.json.

pip install scipy==1.17.1 diffusers==0.42.1 torch==2.11.0 rectified-flow-pytorch==0.14.0 && python times.py

Where a library counts time from the data, its answer has been turned round.
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers.training_utils import compute_density_for_timestep_sampling, compute_loss_weighting_for_sd3
from rectified_flow_pytorch.rectified_flow import cosmap
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit, logit

torch.set_default_dtype(torch.float64)
u = np.array([1e-6, 0.01, 0.13, 0.3, 0.5, 0.77, 0.95, 1 - 1e-6])
t = np.array([0.01, 0.12, 0.25, 0.5, 0.625, 0.9, 0.99])


def scipy_law(d):
    return {"quantile": d.ppf(u).tolist(), "cdf": d.cdf(t).tolist(), "density": d.pdf(t).tolist()}


def logistic_of_normal(loc, scale):
    z = stats.norm(loc, scale)
    return {"quantile": expit(z.ppf(u)).tolist(), "cdf": z.cdf(logit(t)).tolist(), "density": (z.pdf(logit(t)) / (t * (1 - t))).tolist()}


def from_density(p):
    """A law known by an unnormalised density alone: SciPy integrates and inverts it."""
    total = quad(p, 0, 1, epsabs=1e-14)[0]
    cdf = lambda x: quad(p, 0, x, epsabs=1e-14)[0] / total
    return {
        "quantile": [brentq(lambda x: cdf(x) - v, 0, 1, xtol=1e-15) for v in u], "cdf": [cdf(x) for x in t],
        "density": [p(x) / total for x in t],
    }


def from_quantile(q):
    """A law known by its quantile alone: SciPy inverts it, and a Richardson-extrapolated difference gives its slope."""
    inverse = [brentq(lambda v: q(v) - x, 0, 1, xtol=1e-15) for x in t]
    slope = lambda v, h: (q(v + h) - q(v - h)) / (2 * h)
    density = [1 / ((4 * slope(v, 5e-4) - slope(v, 1e-3)) / 3) for v in inverse]
    return {"quantile": [float(q(v)) for v in u], "cdf": inverse, "density": density}


def warp(s):
    cubic = np.polynomial.Polynomial([0, 3 - 2 * s, 6 * (s - 1), 4 * (1 - s)])
    root = lambda x: next(r.real for r in (cubic - x).roots() if abs(r.imag) < 1e-9 and -1e-9 <= r.real <= 1 + 1e-9)
    inverse = [root(x) for x in t]
    return {"quantile": cubic(u).tolist(), "cdf": inverse, "density": [float(1 / cubic.deriv()(v)) for v in inverse]}


def edm_skew():
    """sigma log-normal, t = 1 / (1 + sigma): large sigma is small t."""
    sigma = stats.lognorm(s=1.2, scale=np.exp(-1.2))
    at = 1 / t - 1
    return {"quantile": (1 / (1 + sigma.isf(u))).tolist(), "cdf": sigma.sf(at).tolist(), "density": (sigma.pdf(at) / t**2).tolist()}


def sd3_mode(s):
    """The u that diffusers drew with a seed, and the times it made of them."""
    seeded = lambda: torch.Generator().manual_seed(5)
    drawn = torch.rand(8, generator=seeded())
    made = compute_density_for_timestep_sampling("mode", 8, mode_scale=s, generator=seeded())
    return {"u": drawn.tolist(), "quantile": (1 - made).tolist()}


mode = lambda s: from_quantile(lambda v: v + s * (v - np.sin(np.pi * v / 2) ** 2))
laws = {
    "uniform": scipy_law(stats.uniform()),
    "logit-normal": logistic_of_normal(0, 1), "logit-normal:loc=-0.7,scale=1.6": logistic_of_normal(-0.7, 1.6),
    "arcsine": scipy_law(stats.arcsine()),
    "exp-u": from_density(lambda x: np.exp(4 * x) + np.exp(4 * (1 - x))),
    "exp-u:a=0.5": from_density(lambda x: np.exp(0.5 * x) + np.exp(0.5 * (1 - x))),
    "power": scipy_law(stats.powerlaw(1 / 2)), "power:k=0.4": scipy_law(stats.powerlaw(1 / 0.4)),
    "power-data": scipy_law(stats.beta(1, 1 / 2)), "power-data:k=3": scipy_law(stats.beta(1, 1 / 3)),
    "mode": mode(1.29), "mode:s=-0.8": mode(-0.8),
    "cosmap": {
        "quantile": cosmap(torch.tensor(u)).tolist(),
        "density": compute_loss_weighting_for_sd3("cosmap", torch.tensor(t)).tolist(),
        "cdf": [brentq(lambda v: float(cosmap(torch.tensor(v))) - x, 0, 1, xtol=1e-15) for x in t],
    },
    "warp": warp(0.5), "warp:s=1.4": warp(1.4),
    "edm-skew": edm_skew(),
    "discrete": {
        "quantile": (stats.randint(0, 4).ppf(u) / 4).tolist(), "cdf": stats.randint(0, 4).cdf(4 * t).tolist(),
        "density": [float(stats.randint(0, 4).pmf(4 * x)) for x in t],
    },
}
reference = {"u": u.tolist(), "t": t.tolist(), "laws": laws, "sd3_mode": sd3_mode(1.29)}
Path(__file__).with_suffix(".json").write_text(json.dumps(reference, indent=1))
