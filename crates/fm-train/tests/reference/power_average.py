"""Averages of relative widths by NumPy and SciPy: `python3 power_average.py > power_average.json`.

The exponents are roots of the polynomial of Karras et al. (2024), the inner products are integrals by quadrature, and the
coefficients are least squares by lstsq among those that sum to 1. The averages are tracked in float64 over a walk w_t.
"""
import json

import numpy as np
from scipy.integrate import quad

WIDTHS = [0.001, 0.03, 0.05, 0.1, 0.15, 0.28]
TRACKED, STEPS, WANTED, LAST = [0.05, 0.10], [60, 120, 180, 240, 300], [0.03, 0.08, 0.15], 300


def exponent(width):
    roots = np.roots([1, 7, 16 - width**-2, 12 - width**-2])
    return roots[np.isreal(roots)].real.max()


def profile(width, last):
    g = exponent(width)
    return lambda s: (g + 1) * s**g / last ** (g + 1)


def product(a, b):
    (p, s), (q, t) = a, b
    return quad(lambda x: p(x) * q(x), 0, min(s, t), epsabs=0, epsrel=1e-12, limit=500)[0]


snapshots = [(width, step) for width in TRACKED for step in STEPS]
basis = [(profile(width, step), step) for width, step in snapshots]
A = np.array([[product(a, b) for b in basis] for a in basis])


def coefficients(width):
    target = (profile(width, LAST), LAST)
    b = np.array([product(a, target) for a in basis])
    # x = x0 + N z with sum(x) = 1; least squares in the norm of A.
    n = len(basis)
    N = np.linalg.svd(np.ones((1, n)))[2][1:].T
    x0 = np.full(n, 1 / n)
    L = np.linalg.cholesky(A)
    z = np.linalg.lstsq(L.T @ N, np.linalg.solve(L, b) - L.T @ x0, rcond=None)[0]
    x = x0 + N @ z
    return x.tolist(), float(np.sqrt(1 - 2 * x @ b / product(target, target) + x @ A @ x / product(target, target)))


rng = np.random.default_rng(0)
walk = np.cumsum(rng.normal(size=LAST) * 0.1) + 1


def average(width, last):
    g, a = exponent(width), 0.0
    for t in range(1, last + 1):
        b = (1 - 1 / t) ** (g + 1)
        a = b * a + (1 - b) * walk[t - 1]
    return a


print(json.dumps({
    "exponents": [[width, exponent(width)] for width in WIDTHS],
    "snapshots": snapshots,
    "fits": [[width, *coefficients(width)] for width in WANTED],
    "walk": walk.tolist(),
    "averages": [[width, step, average(width, step)] for width, step in snapshots],
}))
