"""Writes churn.json beside itself: algorithm 2 of Karras et al. (2022), "Elucidating the Design Space of Diffusion-Based
Generative Models", written from the paper, on the exact denoiser of three Gaussians with given noise; and the same algorithm on
the path x_t = t x1 + (1 - t) x0, by the paper's general scale s(t) = t and noise level (1 - t) / t. Needs: pip install numpy."""
import json
import pathlib

import numpy as np

WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[2.0, 0.0], [-1.0, 1.5], [0.0, -2.0]])
VARIANCES = np.array([0.09, 0.04, 0.16])


def denoiser(x, level):
    """E[x1 | x = x1 + level z]."""
    v = VARIANCES + level**2
    off = x[:, None, :] - MEANS
    logs = np.log(WEIGHTS) - np.log(v) - (off**2).sum(-1) / (2 * v)
    r = np.exp(logs - logs.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)
    return (r[:, :, None] * (MEANS + (VARIANCES / v)[:, None] * off)).sum(1)


def gamma(level, steps, s):
    return min(s["s_churn"] / steps, 2**0.5 - 1) if s["s_min"] <= level <= s["s_max"] else 0.0


def algorithm_2(x, levels, s, noise):
    steps, states = len(levels) - 1, []
    for i in range(steps):
        now, after = levels[i], levels[i + 1]
        raised = now + gamma(now, steps, s) * now
        x = x + np.sqrt(raised**2 - now**2) * s["s_noise"] * noise[i]
        d = (x - denoiser(x, raised)) / raised
        euler = x + (after - raised) * d
        if after != 0:
            ahead = (euler - denoiser(euler, after)) / after
            x = x + (after - raised) * (d + ahead) / 2
        else:
            x = euler
        states.append(x.tolist())
    return states


def on_straight_path(x, times, s, noise):
    """x = s(t) (x1 + level z); velocity = (E[x1 | x] - x) / (1 - t), also at t = 0."""
    velocity = lambda x, t: (denoiser_at(x, t) - x) / (1 - t)
    level, steps, states = lambda t: (1 - t) / t if t > 0 else np.inf, len(times) - 1, []
    for i in range(steps):
        t, after = times[i], times[i + 1]
        share = gamma(level(t), steps, s)
        if share > 0:
            raised = level(t) * (1 + share)
            before, t = t, 1 / (1 + raised)
            x = t / before * x + t * np.sqrt(raised**2 - level(before) ** 2) * s["s_noise"] * noise[i]
        v, h = velocity(x, t), after - t
        euler = x + h * v
        x = x + h * (v + velocity(euler, after)) / 2 if after < 1 else euler
        states.append(x.tolist())
    return states


def denoiser_at(x, t):
    return denoiser(x / t, (1 - t) / t) if t > 0 else np.broadcast_to(WEIGHTS @ MEANS, x.shape)


rng = np.random.default_rng(1)
N = 12
x0, noise = rng.standard_normal((4, 2)), rng.standard_normal((N, 4, 2))
i = np.arange(N)
levels = np.append((80 ** (1 / 7) + i / (N - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, 0.0)
settings = [
    {"s_churn": 40.0, "s_min": 0.05, "s_max": 50.0, "s_noise": 1.003},
    {"s_churn": 2.0, "s_min": 0.0, "s_max": 10.0, "s_noise": 1.1},
    {"s_churn": 0.0, "s_min": 0.0, "s_max": 100.0, "s_noise": 1.0},
]
times = [float(t) for t in np.arange(N + 1) / N]
cases = [{**s, "levels": algorithm_2(80 * x0, levels, s, noise), "times": on_straight_path(x0, times, s, noise)} for s in settings]
data = {"x0": x0.tolist(), "noise": noise.tolist(), "levels": levels.tolist(), "times": times, "cases": cases}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(data) + "\n")
