"""The peers' side of a comparison. One request a line, one line of JSON as the answer.

`load FILE` reads a cost matrix; `scipy` and `pot` solve it and answer {"seconds", "value"}; `versions` tells what runs.
"""
import json
import sys
import time

import numpy as np
import ot
import scipy
from scipy.optimize import linear_sum_assignment

cost = marginal = None


def timed(solve):
    started = time.perf_counter()
    value = solve()
    return {"seconds": time.perf_counter() - started, "value": value}


def by_scipy():
    rows, columns = linear_sum_assignment(cost)
    return float(cost[rows, columns].sum())


def by_pot():
    # The iteration cap is raised so that POT reaches the optimum it is compared at.
    plan = ot.emd(marginal, marginal, cost, numItermax=100_000_000)
    return float((plan * cost).sum() * len(cost))


for line in sys.stdin:
    match line.split():
        case ["load", path]:
            cost = np.load(path)
            marginal = np.full(len(cost), 1 / len(cost))
            answer = {}
        case ["scipy"]:
            answer = timed(by_scipy)
        case ["pot"]:
            answer = timed(by_pot)
        case ["versions"]:
            answer = {"SciPy": scipy.__version__, "POT": ot.__version__, "NumPy": np.__version__}
    print(json.dumps(answer), flush=True)
