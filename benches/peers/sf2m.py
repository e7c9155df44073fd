"""torchcfm's score and flow matching from eight Gaussians to two moons, and distances of samples to new points.

    sf2m.py train SEED STEPS BATCH LR SIGMA SAMPLES FOLDER STRENGTH...   trains, and writes FOLDER/theirs-STRENGTH.npy for each strength
    sf2m.py measure SEED SAMPLES FILE...                                  prints a JSON object: file -> energy distance and W2

Training is that of torchcfm's tutorial (SF2M_2D_example): two of its MLPs of 3 x 64, one of the velocity and one of the scaled score,
trained together by AdamW on entropic pairs of each batch; mean (v - u)^2 + mean (lambda s + eps)^2. Sampling is Euler's method with 100
steps for strength 0, and Euler-Maruyama with as many for a strength g^2 above. Needs: torch, torchcfm, POT, numpy.
"""
import json
import sys
from pathlib import Path

import numpy as np
import ot
import torch
from torchcfm.conditional_flow_matching import SchrodingerBridgeConditionalFlowMatcher
from torchcfm.models import MLP
from torchcfm.utils import sample_8gaussians, sample_moons

STEPS_OF_SAMPLING = 100
torch.set_num_threads(1)


def train(seed, steps, batch, lr, sigma, samples, folder, strengths):
    torch.manual_seed(seed)
    np.random.seed(seed)
    velocity, score = (MLP(dim=2, time_varying=True, w=64) for _ in range(2))
    optimizer = torch.optim.AdamW([*velocity.parameters(), *score.parameters()], lr)
    matcher = SchrodingerBridgeConditionalFlowMatcher(sigma=sigma, ot_method="sinkhorn")
    for _ in range(steps):
        t, x, u, eps = matcher.sample_location_and_conditional_flow(sample_8gaussians(batch), sample_moons(batch), return_noise=True)
        weight, at = matcher.compute_lambda(t)[:, None], torch.cat([x, t[:, None]], 1)
        loss = torch.mean((velocity(at) - u) ** 2) + torch.mean((weight * score(at) + eps) ** 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for strength in strengths:
        torch.manual_seed(1000 + seed)
        x, h = sample_8gaussians(samples), 1 / STEPS_OF_SAMPLING
        with torch.no_grad():
            for i in range(STEPS_OF_SAMPLING):
                at = torch.cat([x, torch.full((samples, 1), i * h)], 1)
                drift = velocity(at) + (float(strength) / sigma**2 * score(at) if float(strength) else 0)
                x = x + h * drift + (float(strength) * h) ** 0.5 * torch.randn_like(x)
        np.save(Path(folder) / f"theirs-{strength}.npy", x.numpy().astype(np.float64))


def distances(x, y):
    mean = lambda a, b: ot.dist(a, b, metric="euclidean").mean()
    off = lambda a: mean(a, a) * len(a) / (len(a) - 1)
    weights = np.full(len(x), 1 / len(x))
    w2 = ot.emd2(weights, weights, ot.dist(x, y), numItermax=10**7) ** 0.5
    return {"energy": 2 * mean(x, y) - off(x) - off(y), "w2": w2}


def measure(seed, samples, files):
    torch.manual_seed(5000 + seed)
    np.random.seed(5000 + seed)
    real, more = (sample_moons(samples).numpy().astype(np.float64) for _ in range(2))
    read = lambda file: np.load(file) if file.endswith(".npy") else np.loadtxt(file, delimiter=",")
    found = {Path(file).stem: distances(read(file)[:samples], real) for file in files}
    print(json.dumps(found | {"perfect": distances(more, real)}))


if __name__ == "__main__":
    kind, seed, *rest = sys.argv[1:]
    if kind == "train":
        steps, batch, lr, sigma, samples, folder, *strengths = rest
        train(int(seed), int(steps), int(batch), float(lr), float(sigma), int(samples), folder, strengths)
    else:
        measure(int(seed), int(rest[0]), rest[1:])
