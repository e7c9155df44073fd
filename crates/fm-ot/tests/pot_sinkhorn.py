"""Entropic plans of POT's log-domain solver -> pot_sinkhorn.json.

pip install POT==0.9.7.post1 && python pot_sinkhorn.py
"""

import json
from pathlib import Path

import numpy as np
import ot

cases = []
for seed, (m, n, d, epsilon) in enumerate([(6, 6, 2, 1.0), (8, 8, 2, 0.5), (5, 9, 3, 0.3), (8, 8, 64, 2.0), (7, 7, 2, 0.2)]):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(m, d)), rng.normal(size=(n, d)) + 0.5
    cost = ot.dist(x, y).astype(np.float32)
    plan = ot.bregman.sinkhorn_log(
        np.full(m, 1 / m), np.full(n, 1 / n), cost.astype(float), epsilon, numItermax=100_000, stopThr=1e-12)
    cases.append({"rows": m, "columns": n, "epsilon": epsilon, "cost": cost.astype(float).ravel().tolist(), "plan": plan.ravel().tolist()})
Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=1))
