"""Writes tableaux.json beside itself: Butcher tableaux by SciPy and NodePy. Needs: pip install scipy nodepy."""
import json
import pathlib
import numpy as np
from nodepy import runge_kutta_method as rk
from scipy.integrate import RK45


def flat(method):
    a = np.array(method.A, dtype=float)
    return {
        "c": [float(v) for v in method.c],
        "a": [float(a[i, j]) for i in range(len(a)) for j in range(i)],
        "b": [float(v) for v in method.b],
    }


tables = {ours: flat(rk.loadRKM(theirs)) for ours, theirs in
          {"euler": "FE", "midpoint": "Mid22", "heun": "Heun22", "rk4": "RK44"}.items()}
a = np.zeros((7, 7))
a[:6, :5] = RK45.A
a[6, :6] = RK45.B
tables["dopri5"] = {
    "c": [float(v) for v in RK45.C] + [1.0],
    "a": [float(a[i, j]) for i in range(7) for j in range(i)],
    "b": [float(v) for v in RK45.B] + [0.0],
    "e": [-float(v) for v in RK45.E],
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(tables, indent=1) + "\n")
