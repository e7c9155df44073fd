"""Writes options.json beside itself: points carried by the exact velocity to three equal Gaussians, by other people's solvers.
Needs: pip install numpy scipy jax diffrax nodepy six sympy matplotlib torch torchdiffeq diffusers.

Fixed steps: diffrax with its own tableaux; SciPy's DOP853 with its step size held; NodePy for the classic fourth-order method, torchdiffeq for the 3/8 rule (its "rk4").
Grids: Heun's method by diffrax, at times by diffusers (edm, shift), NumPy's polynomials (warp) and linspace (uniform)."""
import json
import pathlib

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import torch
import torchdiffeq
from diffusers import EDMEulerScheduler, FlowMatchEulerDiscreteScheduler
from nodepy import ivp
from nodepy import runge_kutta_method as rk
from scipy.integrate import DOP853, solve_ivp

jax.config.update("jax_enable_x64", True)
# Numbers that single precision holds exactly, since that is what tables are read in.
MEANS = np.array([[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]])
DEVIATION, STEPS = 0.5, 12
START = np.round(np.random.default_rng(0).standard_normal((32, 2)) * 64) / 64


def velocity(t, x, lib=np):
    v = t * t * DEVIATION**2 + (1 - t) ** 2
    off = x[:, None, :] - t * (MEANS if lib is np else lib.asarray(MEANS))
    logits = -(off**2).sum(-1) / (2 * v)
    r = lib.exp(logits - logits.max(1)[:, None])
    r = r / r.sum(1)[:, None]
    gain = (t * DEVIATION**2 - (1 - t)) / v
    return (r[:, :, None] * (MEANS + gain * off)).sum(1)


def torch_velocity(t, x):
    means = torch.tensor(MEANS)
    v = t * t * DEVIATION**2 + (1 - t) ** 2
    off = x[:, None, :] - t * means
    r = torch.softmax(-(off**2).sum(-1) / (2 * v), 1)
    return (r[:, :, None] * (means + (t * DEVIATION**2 - (1 - t)) / v * off)).sum(1)


def by_diffrax(solver, times):
    out = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, _: velocity(t, x, jnp)), solver, times[0], times[-1], None, jnp.asarray(START),
        stepsize_controller=diffrax.StepTo(jnp.asarray(times)))
    return np.asarray(out.ys[-1]).tolist()


def adaptive(controller):
    out = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, x, _: velocity(t, x, jnp)), diffrax.Dopri5(), 0.0, 1.0, None, jnp.asarray(START),
        stepsize_controller=controller, max_steps=10_000)
    return 6 * int(out.stats["num_steps"]) + 2


def by_nodepy():
    problem = ivp.IVP(f=lambda t, x: velocity(t, x.reshape(START.shape)).reshape(-1), u0=START.reshape(-1), T=1.0)
    _, states = rk.loadRKM("RK44")(problem, N=STEPS)
    return np.asarray(states[-1]).reshape(START.shape).tolist()


def by_scipy():
    solver = DOP853(lambda t, x: velocity(t, x.reshape(START.shape)).reshape(-1), 0.0, START.reshape(-1), 1.0,
                    first_step=1.0 / STEPS, max_step=1.0 / STEPS, rtol=1e6, atol=1e6)
    steps = 0
    while solver.status == "running":
        solver.step()
        steps += 1
    assert steps == STEPS, steps
    return solver.y.reshape(START.shape).tolist()


uniform = np.linspace(0.0, 1.0, STEPS + 1)
solvers = {name: {"by": "diffrax", "x": by_diffrax(solver, uniform)} for name, solver in {
    "euler": diffrax.Euler(), "midpoint": diffrax.Midpoint(), "heun": diffrax.Heun(), "heun-euler": diffrax.Heun(),
    "bogacki-shampine": diffrax.Bosh3(), "dopri5": diffrax.Dopri5(), "tsit5": diffrax.Tsit5()}.items()}
solvers["rk4"] = {"by": "NodePy", "x": by_nodepy()}
solvers["dop853"] = {"by": "SciPy", "x": by_scipy()}
solvers["rk4-38"] = {"by": "torchdiffeq", "x": torchdiffeq.odeint(
    torch_velocity, torch.tensor(START), torch.tensor(uniform), method="rk4")[-1].tolist()}

s = 0.5
warp = np.polynomial.Polynomial([0, 3 - 2 * s, 6 * (s - 1), 4 * (1 - s)])(uniform)
edm = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=7.0)._compute_karras_sigmas(torch.linspace(0, 1, STEPS, dtype=torch.float64))
sd3 = FlowMatchEulerDiscreteScheduler(shift=3.0)
sd3.set_timesteps(sigmas=np.linspace(1.0, 1.0 / STEPS, STEPS))
grids = {
    "uniform": ("linspace", uniform),
    "warp": ("NumPy's polynomials", warp),
    "edm": ("diffusers' EDM scheduler", np.append(1 / (1 + np.asarray(edm)), 1.0)),
    "shift": ("diffusers' flow-match scheduler", 1 - np.asarray(sd3.sigmas, dtype=np.float64)),
}
exact = solve_ivp(lambda t, x: velocity(t, x.reshape(START.shape)).reshape(-1), (0.0, 1.0), START.reshape(-1),
                  method="DOP853", rtol=1e-13, atol=1e-13).y[:, -1].reshape(START.shape)
pid = lambda p, i, d: diffrax.PIDController(rtol=1e-6, atol=1e-6, pcoeff=p, icoeff=i, dcoeff=d)
data = {
    "means": MEANS.tolist(), "deviation": DEVIATION, "steps": STEPS, "start": START.tolist(), "exact": exact.tolist(),
    "solvers": solvers,
    "grids": {name: {"by": by, "times": times.tolist(), "x": by_diffrax(diffrax.Heun(), times)} for name, (by, times) in grids.items()},
    "controllers": {"i": adaptive(pid(0, 1, 0)), "pi": adaptive(pid(0.2, 0.65, 0)), "pid": adaptive(pid(1 / 18, 1 / 9, 1 / 18))},
}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
print(data["controllers"], data["grids"]["edm"]["times"][:2], data["grids"]["shift"]["times"])
