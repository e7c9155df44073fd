"""Writes tableaux.json beside itself: Butcher tableaux and interpolants by SciPy, NodePy and diffrax.
Needs: pip install scipy nodepy six sympy matplotlib diffrax."""
import json
import pathlib

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from nodepy import runge_kutta_method as rk
from scipy.integrate import DOP853, RK23, RK45
from scipy.integrate._ivp.dop853_coefficients import A, C
from scipy.integrate._ivp.rk import Dop853DenseOutput

jax.config.update("jax_enable_x64", True)
THETAS = [0.1, 0.25, 0.5, 0.8, 0.95]


def lower(a):
    return [float(a[i, j]) for i in range(len(a)) for j in range(i)]


def nodepy(name):
    method = rk.loadRKM(name)
    return {"c": [float(v) for v in method.c], "a": lower(np.array(method.A, dtype=float)), "b": [float(v) for v in method.b]}


def scipy(method):
    n = len(method.C)
    a = np.zeros((n + 1, n + 1))
    a[:n, : method.A.shape[1]] = method.A[:, :]
    a[n, :n] = method.B
    powers = np.array([[theta ** (k + 1) for k in range(method.P.shape[1])] for theta in THETAS])
    return {
        "c": [float(v) for v in method.C] + [1.0],
        "a": lower(a),
        "b": [float(v) for v in method.B] + [0.0],
        # SciPy's estimate is the embedded solution less the one that advances.
        "e": [-float(v) for v in method.E],
        "dense": (powers @ method.P.T).tolist(),
    }


def dop853():
    unit = np.eye(16)
    step, first, last = np.append(DOP853.B, np.zeros(4)), unit[0], unit[12]
    rows = np.array([step, first - step, 2 * step - last - first, *DOP853.D])
    return {
        "c": C.tolist(),
        "a": lower(A),
        "b": [float(v) for v in DOP853.B] + [0.0],
        "e": [float(v) for v in DOP853.E5],
        "e_low": [float(v) for v in DOP853.E3],
        "dense": [Dop853DenseOutput(0.0, 1.0, np.zeros(16), rows)(theta).tolist() for theta in THETAS],
    }


def tsit5():
    table = diffrax.Tsit5.tableau
    stages = jnp.eye(7)
    local = diffrax.Tsit5.interpolation_cls(t0=0.0, t1=1.0, y0=jnp.zeros(7), y1=jnp.zeros(7), k=stages)
    return {
        "c": [0.0] + [float(v) for v in table.c],
        "a": [float(v) for row in table.a_lower for v in row],
        "b": [float(v) for v in table.b_sol],
        "e": [float(v) for v in table.b_error],
        "dense": [[float(v) for v in local.evaluate(theta)] for theta in THETAS],
    }


tables = {ours: nodepy(theirs) for ours, theirs in {"euler": "FE", "midpoint": "Mid22", "heun": "Heun22", "rk4": "RK44"}.items()}
heun = diffrax.Heun.tableau
tables["heun-euler"] = {
    "c": [0.0] + [float(v) for v in heun.c],
    "a": [float(v) for row in heun.a_lower for v in row],
    "b": [float(v) for v in heun.b_sol],
    # diffrax: sol less Euler's.
    "e": [float(v) for v in heun.b_error],
}
tables["bogacki-shampine"] = scipy(RK23)
tables["dopri5"] = scipy(RK45)
tables["tsit5"] = tsit5()
tables["dop853"] = dop853()
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps({"theta": THETAS, "tables": tables}, indent=1) + "\n")
