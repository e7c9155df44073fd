"""What the plan of each named coupling, and the optimum of each named cost, costs: POT and SciPy -> couplings.json.

pip install POT scipy && python couplings.py
"""
import json
import pathlib
import sys

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from instances import instance

n = 32
x, y = instance("uniform", n, 2, 77)
classes = (y[:, 0] > 0.5).astype(int)
# As a training loop has it: rows are targets.
cost = cdist(y.astype(float), x.astype(float), "sqeuclidean")
mean, a = cost.mean(), np.full(n, 1 / n)


def assigned(matrix, counted):
    return counted[linear_sum_assignment(matrix)].mean()


def sinkhorn(epsilon):
    return (ot.bregman.sinkhorn_log(a, a, cost, epsilon, numItermax=100_000, stopThr=1e-12) * cost).sum()


unbalanced = ot.unbalanced.sinkhorn_unbalanced(a, a, cost, 0.05 * mean, mean, reg_type="kl", numItermax=100_000, stopThr=1e-14)
plans = {
    "exact": assigned(cost, cost),
    "sinkhorn": sinkhorn(0.05 * mean),
    "sinkhorn-absolute": sinkhorn(0.05),
    "unbalanced": (unbalanced * cost).sum(),
    "partial": (ot.partial.partial_wasserstein(a, a, cost, m=0.9) * cost).sum(),
    "c2ot": assigned(cost + 10 * mean * (classes[:, None] != classes[None, :]), cost),
    "schroedinger-bridge": sinkhorn(2.0),
}
metrics = {name: assigned(m, m) for name, m in {
    "squared-euclidean": cost,
    "euclidean": np.sqrt(cost),
    "cosine": cdist(y.astype(float), x.astype(float), "cosine"),
}.items()}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps({
    "x0": x.astype(float).tolist(), "x1": y.astype(float).tolist(), "classes": classes.tolist(),
    "plans": {k: float(v) for k, v in plans.items()}, "costs": {k: float(v) for k, v in metrics.items()},
}))
