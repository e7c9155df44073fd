"""Writes problems.json beside itself: end states by SciPy's DOP853 at its tightest tolerance. Needs: pip install scipy."""
import json
import pathlib

import numpy as np
from scipy.integrate import solve_ivp


def van_der_pol(mu):
    return lambda t, x: [x[1], mu * (1 - x[0] ** 2) * x[1] - x[0]]


def along(f, x0, span, pieces):
    """States at equally spaced times, both ends included."""
    times = np.linspace(*span, pieces + 1)
    out = solve_ivp(f, span, x0, method="DOP853", rtol=3e-14, atol=1e-14, t_eval=times)
    assert out.success
    return {"span": span, "x": out.y.T.tolist()}


cases = {"van-der-pol": along(van_der_pol(0.2), [1.0, -2.0], (0.0, 2.0), 8),
         "van-der-pol-5": along(van_der_pol(5.0), [2.0, 0.0], (0.0, 10.0), 1)}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n")
