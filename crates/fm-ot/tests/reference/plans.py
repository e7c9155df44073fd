"""Entropic, unbalanced and partial plans, and exact costs between any masses, by POT -> plans.json.

pip install POT scipy && python plans.py
"""
import json
import pathlib
import sys

import numpy as np
import ot
from scipy.spatial.distance import cdist

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from instances import instance, unit


def masses(n, seed, uniform):
    raw = np.ones(n) if uniform else 0.2 + unit(seed, np.arange(n))
    return raw / raw.sum()


def entropic(a, b, cost, e):
    return ot.bregman.sinkhorn_log(a, b, cost, e, numItermax=100_000, stopThr=1e-13)


def unbalanced(a, b, cost, e, reg_m):
    return ot.unbalanced.sinkhorn_unbalanced(a, b, cost, e, reg_m, method="sinkhorn", reg_type="kl", numItermax=100_000, stopThr=1e-15)


def entropic_partial(a, b, cost, e, mass):
    return ot.partial.entropic_partial_wasserstein(a, b, cost, e, m=mass, numItermax=100_000, stopThr=1e-15)


cases = []
for seed, (kind, m, n, d, uniform, relative) in enumerate([
    ("uniform", 6, 6, 2, True, 0.5),
    ("uniform", 12, 12, 2, True, 0.05),
    ("uniform", 9, 14, 3, False, 0.1),
    ("lattice", 16, 16, 2, True, 0.05),
    ("uniform", 10, 10, 64, True, 0.02),
    ("lattice", 15, 7, 64, False, 0.05),
    ("clusters", 12, 12, 2, True, 0.05),
    ("uniform", 11, 13, 3072, False, 0.01),
    ("uniform", 20, 20, 2, True, 0.03),
]):
    size = max(m, n)
    x, y = instance(kind, size, d, seed)
    cost = cdist(x[:m].astype(float), y[:n].astype(float), "sqeuclidean")
    a, b = masses(m, 100 + seed, uniform), masses(n, 200 + seed, uniform)
    e, reg_m, mass = relative * cost.mean(), 0.3 * cost.mean(), 0.6
    plans = {
        "sinkhorn": entropic(a, b, cost, e),
        "unbalanced": unbalanced(a, b, cost, e, reg_m),
        "partial": entropic_partial(a, b, cost, e, mass),
    }
    cases.append({
        "kind": kind, "rows": m, "columns": n, "d": d, "seed": seed, "a": a.tolist(), "b": b.tolist(), "mass": mass,
        "epsilon": e, "reg_m": reg_m, "plans": {k: [float(f"{p:.14g}") for p in v.ravel()] for k, v in plans.items()},
        "emd": float(ot.emd2(a, b, cost, numItermax=10_000_000)),
        "partial_emd": float((ot.partial.partial_wasserstein(a, b, cost, m=mass, numItermax=10_000_000) * cost).sum()),
    })
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases))
