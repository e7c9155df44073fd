"""The first ten iterates of a semidiscrete fit on a fixed list of noise rows: ott-jax -> semidiscrete.json.

pip install ott-jax optax && python semidiscrete.py
"""

import json
import pathlib

import jax

jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import numpy as np
import optax
from ott.geometry import pointcloud
from ott.geometry.semidiscrete_pointcloud import SemidiscretePointCloud
from ott.problems.linear.linear_problem import LinearProblem
from ott.problems.linear.semidiscrete_linear_problem import SemidiscreteLinearProblem
from ott.solvers.linear import semidiscrete

iterations, rows, points, dim = 10, 16, 12, 3
rng = np.random.default_rng(0)
noise = rng.standard_normal((iterations, rows, dim)).round(6)
data = (1.5 * rng.standard_normal((points, dim)) + 0.7).round(6)


class Fixed(SemidiscreteLinearProblem):
    """A problem whose samples are the noise rows of the list, in order."""

    def __init__(self, cloud):
        super().__init__(cloud)
        self.batch = 0

    def sample(self, rng, num_samples, *, epsilon=None):
        x = jnp.asarray(noise[self.batch])
        return LinearProblem(pointcloud.PointCloud(x, self.geom.y, epsilon=0.0), a=None, b=None)


def fit(rate, average):
    solver = semidiscrete.SemidiscreteSolver(
        num_iterations=iterations, batch_size=rows, optimizer=optax.adam(rate), potential_ema=1 - average)
    cloud = SemidiscretePointCloud(sampler=lambda key, shape, dtype=None: None, y=jnp.asarray(data), epsilon=0.0)
    problem, g = Fixed(cloud), jnp.zeros(points)
    full = lambda n: jnp.full(n, jnp.inf)
    state = semidiscrete.SemidiscreteState(
        it=jnp.array(0), epsilon=jnp.nan, g=g, g_ema=g, opt_state=solver.optimizer.init(g),
        losses=full(iterations), grad_norms=full(iterations), errors=full(1))
    out = {"potentials": [], "averages": []}
    for problem.batch in range(iterations):
        state = solver.step(jax.random.key(0), state, problem)
        out["potentials"].append(np.asarray(state.g).tolist())
        out["averages"].append(np.asarray(state.g_ema).tolist())
    return out | {"losses": np.asarray(state.losses).tolist(), "norms": np.asarray(state.grad_norms).tolist()}


decayed = optax.exponential_decay(0.5, transition_steps=iterations - 1, decay_rate=0.05)
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps({
    "noise": noise.tolist(), "data": data.tolist(),
    "constant": fit(0.5, 0.9), "decayed": fit(decayed, 0.5),
}))
