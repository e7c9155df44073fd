"""Metrics of points in f64 that f32 cannot tell apart, by POT, SciPy and scikit-learn -> doubles.json.

pip install POT scipy scikit-learn && python doubles.py
"""
import json
import pathlib

import numpy as np
import ot
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist
from scipy.stats import energy_distance, wasserstein_distance
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel
from sklearn.neighbors import NearestNeighbors

rng = np.random.default_rng(5)
K = 3
# About 1000.3 f32 has steps of 6e-5, so that both sides are one point to it; a mean of 1000 leaves 0.3 in every coordinate.
offset, scale = 1000.3, 1e-6
x = offset + scale * rng.standard_normal((40, 12))
y = offset + scale * (rng.standard_normal((50, 12)) * np.linspace(0.5, 1.5, 12) + 0.4)
theta = rng.standard_normal((20, 12))
theta /= np.linalg.norm(theta, axis=1, keepdims=True)



def radii(z):
    return np.sort(cdist(z, z), axis=1)[:, K]


def within(z, kernel):
    values = kernel(z, z)
    return (values.sum() - np.trace(values)) / (len(z) * (len(z) - 1))


def mmd(kernel):
    return within(x, kernel) + within(y, kernel) - 2 * kernel(x, y).mean()


median = float(np.median(pdist(np.concatenate([x, y]))))
across, real, fake = cdist(y, x), radii(y), radii(x)
cx, cy = np.cov(x - offset, rowvar=False), np.cov(y - offset, rowvar=False)
frechet = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cx + cy - 2 * sqrtm(cx / scale**2 @ cy / scale**2).real * scale**2)
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps({
    "x": x.tolist(), "y": y.tolist(), "directions": theta.tolist(),
    "energy": 2 * cdist(x, y).mean() - pdist(x).mean() - pdist(y).mean(),
    "line": wasserstein_distance(x[:, 0], y[:, 0]),
    "energy on a line": energy_distance(x[:, 0], y[:, 0]) ** 2,
    "sliced": ot.sliced_wasserstein_distance(x - offset, y - offset, projections=theta.T, p=2),
    "median": median,
    "mmd": mmd(lambda a, b: rbf_kernel((a - offset) / median, (b - offset) / median, gamma=0.5)),
    "polynomial mmd": mmd(lambda a, b: polynomial_kernel((a - offset) / scale, (b - offset) / scale, degree=3)),
    "precision": float((across < real[:, None]).any(0).mean()), "recall": float((across < fake[None, :]).any(1).mean()),
    "density": float((across < real[:, None]).sum(0).mean() / K), "coverage": float((across.min(1) < real).mean()),
    "nearest": NearestNeighbors(n_neighbors=1).fit((y - offset) / scale).kneighbors((x - offset) / scale)[1][:, 0].tolist(),
    "frechet": float(frechet),
    "component": np.abs(PCA(1).fit_transform((x - offset) / scale)[:, 0] * scale).tolist(),
}))
