"""Writes dop853.json beside itself: the steps, states and evaluations of SciPy's DOP853. Needs: pip install scipy."""
import json
import pathlib

import numpy as np
from scipy.integrate import solve_ivp

MU = 0.012277471


def van_der_pol(t, x):
    return [x[1], 5.0 * (1 - x[0] ** 2) * x[1] - x[0]]


def arenstorf(t, x):
    """The restricted three-body problem of Hairer, Norsett, Wanner, II.0."""
    d1, d2 = ((x[0] + MU) ** 2 + x[1] ** 2) ** 1.5, ((x[0] - 1 + MU) ** 2 + x[1] ** 2) ** 1.5
    return [x[2], x[3],
            x[0] + 2 * x[3] - (1 - MU) * (x[0] + MU) / d1 - MU * (x[0] - 1 + MU) / d2,
            x[1] - 2 * x[2] - (1 - MU) * x[1] / d1 - MU * x[1] / d2]


def case(f, x0, span, tolerance):
    steps = solve_ivp(f, span, x0, method="DOP853", rtol=tolerance, atol=tolerance)
    at = np.linspace(*span, 12)[1:-1]
    dense = solve_ivp(f, span, x0, method="DOP853", rtol=tolerance, atol=tolerance, t_eval=at)
    assert steps.success and dense.success
    return {"tolerance": tolerance, "span": span, "x0": x0, "t": steps.t.tolist(), "x": steps.y.T.tolist(),
            "evaluations": steps.nfev, "at": at.tolist(), "dense": dense.y.T.tolist()}


ORBIT = [0.994, 0.0, 0.0, -2.00158510637908252240537862224]
cases = {"van-der-pol-5": [case(van_der_pol, [2.0, 0.0], (0.0, 10.0), tolerance) for tolerance in (1e-4, 1e-8)],
         "arenstorf": [case(arenstorf, ORBIT, (0.0, 10.0), tolerance) for tolerance in (1e-5, 1e-9)]}
cases["van-der-pol-5"].append(case(van_der_pol, [2.0, 0.0], (10.0, 9.0), 1e-6))
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
