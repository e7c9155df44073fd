"""Distances between two small point clouds by POT, SciPy and scikit-learn's formulas in NumPy.

    python clouds.py > clouds.json        (POT, SciPy and NumPy as pinned in benches/peers/requirements.txt)
"""

import json

import numpy as np
import ot
from scipy.spatial.distance import cdist, pdist

rng = np.random.default_rng(0)
x = rng.standard_normal((60, 3)).astype(np.float32)
y = (rng.standard_normal((45, 3)) * [1.0, 0.5, 2.0] + [0.3, 0.0, -0.2]).astype(np.float32)
theta = rng.standard_normal((20, 3))
theta /= np.linalg.norm(theta, axis=1, keepdims=True)
x64, y64 = x.astype(float), y.astype(float)


def mmd(h):
    kernel = lambda d: np.exp(-(d**2) / (2 * h**2))
    within = lambda z: kernel(pdist(z)).mean()
    return within(x64) + within(y64) - 2 * kernel(cdist(x64, y64)).mean()


both = np.concatenate([x64, y64])
median = float(np.median(pdist(both)))
centred = x64 - x64.mean(0)
_, _, components = np.linalg.svd(centred, full_matrices=False)
n = min(len(x), len(y))
pooled = np.concatenate([z[np.arange(n) * len(z) // n] for z in (x64, y64)])
distances = cdist(pooled, pooled)
np.fill_diagonal(distances, np.inf)
side = np.arange(2 * n) < n
print(json.dumps({
    "x": x.tolist(),
    "y": y.tolist(),
    "directions": theta.tolist(),
    "sliced 1": ot.sliced_wasserstein_distance(x64, y64, projections=theta.T, p=1),
    "sliced 2": ot.sliced_wasserstein_distance(x64, y64, projections=theta.T, p=2),
    "line": ot.wasserstein_1d(x64[:, 0], y64[:, 0], p=2),
    "energy": 2 * cdist(x64, y64).mean() - pdist(x64).mean() - pdist(y64).mean(),
    "median": median,
    "mmd": mmd(median),
    "mmd 0.7": mmd(0.7),
    "means": [np.corrcoef(x64.mean(0), y64.mean(0))[0, 1], np.corrcoef(x64.var(0, ddof=1), y64.var(0, ddof=1))[0, 1]],
    "components": (centred @ components[:2].T).tolist(),
    "accuracy": float((side[distances.argmin(1)] == side).mean()),
}))
