"""The peers' side of the comparison of solvers. One request a line, one line of JSON as the answer.

`load DIR CHECKPOINT` reads starting points and the trained network; `exact DIR` writes the end states of all problems, by SciPy's DOP853;
`PROBLEM PEER METHOD TOLERANCE REPEATS` solves and answers {"seconds", "value", "evaluations"}: the mean time of a repeat, the root mean
square error at the end, and the evaluations; `versions` says what runs. Peers use their default controllers.
"""
import functools
import json
import os
import pathlib
import sys
import time

threads = int(os.environ["OMP_NUM_THREADS"])
# JAX takes as many threads as it may use cores.
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
import scipy
import torch
import torchdiffeq
from scipy.integrate import solve_ivp
from scipy.special import erf

torch.set_num_threads(threads)
jax.config.update("jax_enable_x64", True)

WEIGHTS, MEANS, VARIANCES = [0.5, 0.3, 0.2], [[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]], [0.09, 0.04, 0.16]
SPANS = {"harmonic": (0.0, 10.0), "van-der-pol": (0.0, 10.0), "mixture": (0.0, 1.0), "network": (0.0, 1.0)}
home, layers = None, []


def oscillator(mu, xp):
    stack = {"np": np.stack, "jnp": jnp.stack, "torch": torch.stack}[xp]
    if mu is None:
        return lambda t, x: stack([x[1], -x[0]])
    return lambda t, x: stack([x[1], mu * (1 - x[0] ** 2) * x[1] - x[0]])


def mixture(xp):
    """The marginal velocity from N(0, I) to three Gaussians along x_t = t x1 + (1 - t) x0; rows of two."""
    lib = {"np": np, "jnp": jnp, "torch": torch}[xp]
    array = (lambda v: torch.tensor(v, dtype=torch.float64)) if xp == "torch" else lib.asarray
    weights, means, variances = array(WEIGHTS), array(MEANS), array(VARIANCES)

    def field(t, x):
        v = t * t * variances + (1 - t) ** 2
        off = x[:, None, :] - t * means
        logits = lib.log(weights) - lib.log(v) - (off**2).sum(-1) / (2 * v)
        r = lib.exp(logits - (logits.max(1).values if xp == "torch" else logits.max(1))[:, None])
        r = r / r.sum(1)[:, None]
        gain = ((t * variances - (1 - t)) / v)[:, None]
        return (r[:, :, None] * (means + gain * off)).sum(1)

    return field


def network(xp, dtype):
    """Linear layers with exact GELU between, on [x, t]."""
    if xp == "torch":
        weights = [(torch.tensor(w, dtype=dtype), torch.tensor(b, dtype=dtype)) for w, b in layers]

        def field(t, x):
            h = torch.cat([x, t.to(x).expand(len(x), 1)], 1)
            for i, (w, b) in enumerate(weights):
                h = torch.nn.functional.linear(torch.nn.functional.gelu(h) if i else h, w, b)
            return h

        return field
    lib, error = (np, erf) if xp == "np" else (jnp, jax.scipy.special.erf)
    weights = [(lib.asarray(w, dtype), lib.asarray(b, dtype)) for w, b in layers]

    def field(t, x):
        h = lib.concatenate([x, lib.full((len(x), 1), t, x.dtype)], 1)
        for i, (w, b) in enumerate(weights):
            h = (h * 0.5 * (1 + error(h / 2**0.5)) if i else h) @ w.T + b
        return h

    return field


def field_of(problem, xp):
    match problem:
        case "harmonic":
            return oscillator(None, xp)
        case "van-der-pol":
            return oscillator(5.0, xp)
        case "mixture":
            return mixture(xp)
        case "network":
            return network(xp, torch.float64 if xp == "torch" else "float64")
        case "network-f32":
            return network(xp, torch.float32 if xp == "torch" else "float32")


def start(problem):
    if problem in ("mixture", "network", "network-f32"):
        x = np.load(home / f"{problem.removesuffix('-f32')}-x0.npy")
        return x.astype(np.float32) if problem.endswith("f32") else x
    return np.array([1.0, 0.0] if problem == "harmonic" else [2.0, 0.0])


def span(problem):
    return SPANS[problem.removesuffix("-f32")]


def flat(problem):
    """For solve_ivp, whose states are vectors."""
    field, shape = field_of(problem, "np"), start(problem).shape
    return lambda t, x: np.asarray(field(t, x.reshape(shape))).reshape(-1)


@functools.lru_cache
def by_scipy(problem, method, tolerance):
    field, x0 = flat(problem), start(problem).reshape(-1)

    def solve():
        out = solve_ivp(field, span(problem), x0, method={"dopri5": "RK45", "exact": "DOP853"}[method],
                        rtol=tolerance, atol=tolerance, t_eval=[span(problem)[1]])
        return out.y[:, -1], out.nfev

    return solve


@functools.lru_cache
def by_torchdiffeq(problem, method, tolerance):
    field, x0 = field_of(problem, "torch"), torch.tensor(start(problem))
    times, calls = torch.tensor(span(problem), dtype=x0.dtype), [0]

    def counted(t, x):
        calls[0] += 1
        return field(t, x)

    def solve():
        calls[0] = 0
        with torch.no_grad():
            return torchdiffeq.odeint(counted, x0, times, rtol=tolerance, atol=tolerance, method=method)[-1].numpy(), calls[0]

    return solve


@functools.lru_cache
def by_diffrax(problem, method, tolerance):
    field, (t0, t1) = field_of(problem, "jnp"), span(problem)
    solver = {"dopri5": diffrax.Dopri5, "tsit5": diffrax.Tsit5}[method]()
    controller = diffrax.PIDController(rtol=tolerance, atol=tolerance)

    @jax.jit
    def run(x0):
        out = diffrax.diffeqsolve(diffrax.ODETerm(lambda t, x, _: field(t, x)), solver, t0, t1, None, x0,
                                  stepsize_controller=controller, max_steps=1_000_000)
        return out.ys[-1], out.stats["num_steps"]

    x0 = jnp.asarray(start(problem))

    def solve():
        y, steps = run(x0)
        # First same as last: six evaluations a step, and two before the first.
        return np.asarray(jax.block_until_ready(y)), 6 * int(steps) + 2

    return solve


PEERS = {"scipy": by_scipy, "torchdiffeq": by_torchdiffeq, "diffrax": by_diffrax}

for line in sys.stdin:
    match line.split():
        case ["load", path, checkpoint]:
            home = pathlib.Path(path)
            saved = safetensors.numpy.load_file(next(pathlib.Path(checkpoint).glob("ema*.safetensors")))
            names = sorted({name.rsplit(".", 1)[0] for name in saved}, key=lambda n: int(n.rsplit(".", 1)[1]))
            layers = [(saved[f"{n}.weight"], saved[f"{n}.bias"]) for n in names]
            answer = {}
        case ["exact"]:
            for problem in SPANS:
                end, _ = by_scipy(problem, "exact", 1e-13)()
                np.save(home / f"{problem}-x1.npy", end.reshape(-1, 2))
            answer = {}
        case [problem, peer, method, tolerance, repeats]:
            solve = PEERS[peer](problem, method, float(tolerance))
            started = time.perf_counter()
            for _ in range(int(repeats)):
                found, evaluations = solve()
            seconds = (time.perf_counter() - started) / int(repeats)
            exact = np.load(home / f"{problem.removesuffix('-f32')}-x1.npy").reshape(-1)
            error = np.sqrt(np.mean((np.asarray(found, np.float64).reshape(-1) - exact) ** 2))
            answer = {"seconds": seconds, "value": float(error), "evaluations": int(evaluations)}
        case ["versions"]:
            answer = {"SciPy": scipy.__version__, "torchdiffeq": torchdiffeq.__version__, "diffrax": diffrax.__version__,
                      "PyTorch": torch.__version__, "JAX": jax.__version__}
    print(json.dumps(answer), flush=True)
