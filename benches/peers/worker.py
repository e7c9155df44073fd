"""The peers' side of a comparison. One request a line, one line of JSON as the answer.

`load DIR` reads point sets and their cost matrix; `cost_pot` (of f64) and `cost_pot_single` (of f32), `scipy`, `pot` (exact), `ott EPSILON TOLERANCE`,
`pot_log EPSILON TOLERANCE` and `pot_plain EPSILON TOLERANCE` (entropic) do the work and answer {"seconds", "value", "error"};
`mean` answers the mean cost, `versions` what runs.
"""
import json
import os
import sys
import time
import warnings
from functools import lru_cache

threads = int(os.environ["OMP_NUM_THREADS"])
# JAX takes as many threads as it may use cores.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import jax
import numpy as np
import ot
import ott
import scipy
from ott.geometry import geometry
from ott.problems.linear import linear_problem
from ott.solvers.linear import sinkhorn
from scipy.optimize import linear_sum_assignment

warnings.simplefilter("ignore")
x = y = wide = cost = on_device = marginal = None


def timed(solve):
    started = time.perf_counter()
    found = solve()
    return {"seconds": time.perf_counter() - started} | judged(found)


def judged(found):
    """The value and the L1 error of a plan, outside the time; a value on its own is exact."""
    if isinstance(found, float):
        return {"value": found, "error": 0.0}
    plan = np.asarray(found, dtype=np.float64)
    if not np.isfinite(plan).all() or plan.sum() < 0.5:
        return {"value": None, "error": None}
    error = np.abs(plan.sum(0) - marginal).sum() + np.abs(plan.sum(1) - marginal).sum()
    return {"value": float((plan * cost).sum()), "error": float(error)}


def by_scipy():
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum())


def by_pot():
    # The iteration cap is raised so that POT reaches the optimum it is compared at.
    plan = ot.emd(marginal, marginal, cost, numItermax=1_000_000_000, numThreads=threads)
    return float((plan * cost).sum() * len(cost))


@lru_cache
def compiled(epsilon, tolerance):
    # norm_error 1: the L1 error of one side, the other being exact.
    solver = sinkhorn.Sinkhorn(threshold=tolerance, norm_error=1, max_iterations=200_000)
    return jax.jit(lambda c: solver(linear_problem.LinearProblem(geometry.Geometry(cost_matrix=c, epsilon=epsilon))))


def by_ott(epsilon, tolerance):
    # The plan is part of the work: ours is.
    out = compiled(epsilon, tolerance)(on_device)
    return jax.block_until_ready(out.matrix)


def by_pot_sinkhorn(epsilon, tolerance, method):
    # POT stops on the L2 error of one side; L1 <= sqrt(n) L2.
    threshold = tolerance / np.sqrt(len(cost))
    return ot.sinkhorn(marginal, marginal, cost, epsilon, method=method, stopThr=threshold, numItermax=200_000)


for line in sys.stdin:
    match line.split():
        case ["load", path]:
            x, y, cost = (np.load(f"{path}/{name}.npy") for name in ("x", "y", "cost"))
            marginal = np.full(len(cost), 1 / len(cost))
            on_device = jax.device_put(cost.astype(np.float32))
            wide, answer = (x.astype(np.float64), y.astype(np.float64)), {}
        case ["mean"]:
            answer = {"seconds": 0.0, "value": float(cost.mean()), "error": 0.0}
        case ["cost_pot"]:
            answer = timed(lambda: float(ot.dist(*wide)[0, 0]))
        case ["cost_pot_single"]:
            answer = timed(lambda: float(ot.dist(x, y)[0, 0]))
        case ["scipy"]:
            answer = timed(by_scipy)
        case ["pot"]:
            answer = timed(by_pot)
        case ["ott", epsilon, tolerance]:
            answer = timed(lambda: by_ott(float(epsilon), float(tolerance)))
        case ["pot_log", epsilon, tolerance]:
            answer = timed(lambda: by_pot_sinkhorn(float(epsilon), float(tolerance), "sinkhorn_log"))
        case ["pot_plain", epsilon, tolerance]:
            answer = timed(lambda: by_pot_sinkhorn(float(epsilon), float(tolerance), "sinkhorn"))
        case ["versions"]:
            answer = {"SciPy": scipy.__version__, "POT": ot.__version__, "ott-jax": ott.__version__,
                      "JAX": jax.__version__, "NumPy": np.__version__}
    print(json.dumps(answer), flush=True)
