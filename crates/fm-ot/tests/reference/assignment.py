"""Optimal assignment costs of 1,000 instances -> assignment.txt.

pip install scipy POT && python assignment.py
"""
import pathlib
import sys

import numpy as np
import ot
import scipy
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from instances import instance

KINDS = ["uniform", "lattice", "clusters", "duplicates", "scales", "same"]
rng = np.random.default_rng(0)
lines = [f"# kind n d seed optimum, by SciPy {scipy.__version__}; POT {ot.__version__} agrees to 1e-9"]
for seed in range(1000):
    kind, d = KINDS[seed % 6], [2, 64, 2, 64, 2, 64, 2, 64, 2, 3072][seed // 6 % 10]
    # Mostly small, some as large as 512.
    n = int(np.ceil(512 ** rng.uniform(0.0, 1.0)))
    x, y = instance(kind, n, d, seed)
    cost = cdist(x.astype(np.float64), y.astype(np.float64), "sqeuclidean")
    optimum = cost[linear_sum_assignment(cost)].sum()
    uniform = np.full(n, 1 / n)
    by_pot = ot.emd2(uniform, uniform, cost, numItermax=10_000_000) * n
    assert abs(by_pot - optimum) <= 1e-9 * optimum + 1e-9 * (optimum == 0), (kind, n, d, seed, optimum, by_pot)
    lines.append(f"{kind} {n} {d} {seed} {float(optimum)!r}")
pathlib.Path(__file__).with_suffix(".txt").write_text("\n".join(lines) + "\n")
