"""Writes events.json beside itself: zeros of functions along solutions, by SciPy's solve_ivp. Needs: pip install scipy."""
import json
import pathlib

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import ellipk

TOLERANCE = 1e-10


def event(function, direction=0, terminal=False):
    g = lambda t, x: function(x)
    g.direction, g.terminal = direction, terminal
    return g


def solve(f, x0, span, events, method):
    out = solve_ivp(f, span, x0, method=method, rtol=TOLERANCE, atol=TOLERANCE, events=events)
    assert out.success
    return out


def ball(t, x):
    """A ball with quadratic drag: height and speed."""
    return [x[1], -9.81 - 0.1 * x[1] * abs(x[1])]


def bounces(method):
    """Falls from 2 m, and keeps 0.8 of its speed at every bounce: times of the bounces; times and heights of the tops."""
    t, x, found = 0.0, [2.0, 0.0], {"bounces": [], "tops": []}
    for _ in range(4):
        out = solve(ball, x, (t, 10.0), [event(lambda x: x[0], -1, True), event(lambda x: x[1], -1)], method)
        assert out.status == 1
        # SciPy also reports a zero at the start.
        tops = [(float(top), float(y[0])) for top, y in zip(out.t_events[1], out.y_events[1]) if top > t]
        t, x = float(out.t_events[0][0]), [0.0, -0.8 * float(out.y_events[0][0][1])]
        found["bounces"].append(t)
        found["tops"] += tops
    return found


def lorenz(t, x):
    return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]


def section(method):
    """Crossings of the plane z = 27: all, upwards, downwards."""
    g = lambda x: x[2] - 27
    out = solve(lorenz, [1.0, 1.0, 1.0], (0.0, 8.0), [event(g), event(g, 1), event(g, -1)], method)
    return {"times": [t.tolist() for t in out.t_events], "states": out.y_events[0].tolist()}


def pendulum(method):
    """Swings from an angle of 2 at rest: passages to the right, forwards and backwards in time."""
    f = lambda t, x: [x[1], -np.sin(x[0])]
    g = event(lambda x: x[0], 1)
    forwards = solve(f, [2.0, 0.0], (0.0, 30.0), [g], method).t_events[0].tolist()
    # SciPy's directions are along the solve, too.
    return {"forwards": forwards, "backwards": solve(f, [2.0, 0.0], (0.0, -30.0), [g], method).t_events[0].tolist()}


def example():
    """Upward crossings of the plane z = 27 until x falls below -15, and x at t = 5."""
    events = [event(lambda x: x[2] - 27, 1), event(lambda x: x[0] + 15, -1, True)]
    out = solve_ivp(lorenz, (0.0, 20.0), [1.0, 1.0, 1.0], method="DOP853", rtol=1e-12, atol=1e-12, events=events, dense_output=True)
    assert out.status == 1
    return {"section": out.t_events[0].tolist(), "end": float(out.t[-1]), "x5": float(out.sol(5.0)[0])}


methods = {"dopri5": "RK45", "dop853": "DOP853"}
data = {ours: {"ball": bounces(theirs), "lorenz": section(theirs), "pendulum": pendulum(theirs)} for ours, theirs in methods.items()}
data |= {"tolerance": TOLERANCE, "period": float(4 * ellipk(np.sin(1.0) ** 2)), "example": example()}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
