"""Optimal pairs of points in f64 that f32 cannot tell apart, by POT and SciPy -> pairs.json.

pip install POT scipy && python pairs.py
"""
import json
import pathlib

import numpy as np
import ot
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

rng = np.random.default_rng(7)
n = 24
# f32 has steps of 6e-5 at 1000, so that all of these are one point to it.
x0, x1 = (1000 + 1e-6 * rng.standard_normal((n, 3)) for _ in range(2))
city_block = cdist(x1, x0, "cityblock")
cost = cdist(x1, x0, "sqeuclidean")
a = np.full(n, 1 / n)
plan = ot.bregman.sinkhorn_log(a, a, cost / cost.mean(), 0.05, numItermax=100_000, stopThr=1e-13)
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps({
    "x0": x0.tolist(), "x1": x1.tolist(),
    "exact": linear_sum_assignment(cost)[1].tolist(), "emd2": float(ot.emd2(a, a, cost)),
    "city block": float(city_block[linear_sum_assignment(city_block)].sum()),
    "sinkhorn": float((plan * cost).sum()),
}))
