"""Writes control.json beside itself: the step sizes that diffrax's PIDController chooses after accepted steps with given errors.
Needs: pip install diffrax."""
import json
import pathlib

import diffrax
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)
ERRORS = [0.5, 0.02, 0.9, 0.3, 1e-4, 0.7, 0.7, 0.05, 0.99, 1e-7, 0.4]
GAINS = {"i": (0.0, 1.0, 0.0), "pi": (0.2, 0.65, 0.0), "pid": (1 / 18, 1 / 9, 1 / 18)}
cases = []
for name, (p, i, d) in GAINS.items():
    for order in (2, 3, 5):
        control = diffrax.PIDController(rtol=0.0, atol=1.0, pcoeff=p, icoeff=i, dcoeff=d)
        y = jnp.zeros(1)
        _, state = control.init(None, 0.0, 1.0, y, 0.1, None, None, order)
        t0, t1, factors = 0.0, 0.1, []
        for error in ERRORS:
            # diffrax raises to 1 / order, order being that of the error estimate plus one.
            keep, n0, n1, _, state, _ = control.adapt_step_size(t0, t1, y, y, None, jnp.full(1, error), order, state)
            assert bool(keep)
            factors.append(float((n1 - n0) / (t1 - t0)))
            t0, t1 = float(n0), float(n1)
        cases.append({"controller": name, "order": order, "factors": factors})
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps({"errors": ERRORS, "cases": cases}, indent=1) + "\n")
