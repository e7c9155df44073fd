"""Distances between features by pytorch-fid, torchmetrics and prdc, statistics as numpy.savez writes them, and Pillow's bicubic resampling.

    pip install pytorch-fid==0.3.0 prdc==0.2 torchmetrics==1.9.0 clean-fid==0.1.35     (with torch, torchvision, scikit-learn, Pillow)
    python features.py                    writes features.json and statistics.npz beside itself
"""

import json
import pathlib

import numpy as np
import torch
from cleanfid.fid import kernel_distance
from cleanfid.resize import build_resizer, make_resizer
from prdc import compute_prdc
from pytorch_fid.fid_score import calculate_frechet_distance
from sklearn.datasets import load_digits
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import poly_mmd

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(0)


def distances(x, y, subsets, k):
    x64, y64 = x.astype(float), y.astype(float)
    gaussian = lambda z: (z.mean(0), np.cov(z, rowvar=False))
    tensor = torch.from_numpy
    np.random.seed(0)
    return {
        "frechet": calculate_frechet_distance(*gaussian(x64), *gaussian(y64)),
        "kid": [float(poly_mmd(tensor(x64[a]), tensor(y64[b]))) for a, b in subsets],
        # One subset of everything, in whatever order.
        "whole_kid": kernel_distance(x64[: len(y64)], y64, num_subsets=1, max_subset_size=len(y64)),
        "prdc": {str(n): compute_prdc(y64, x64, n) for n in k},
    }


def inception_score(logits, splits):
    score = InceptionScore(feature=torch.nn.Identity(), splits=splits)
    # It shuffles; what goes in is put so that it comes out in order.
    torch.manual_seed(0)
    order = torch.randperm(len(logits))
    shuffled = torch.empty_like(logits)
    shuffled[order] = logits
    score.update(shuffled)
    torch.manual_seed(0)
    mean, deviation = score.compute()
    return [float(mean), float(deviation)]


# Random features, correlated; n = 10 d and 8 d.
mix = rng.standard_normal((6, 6))
x = (rng.standard_normal((60, 6)) @ mix).astype(np.float32)
y = (rng.standard_normal((48, 6)) @ mix * 1.2 + 0.3).astype(np.float32)
subsets = [(rng.choice(60, 20, replace=False), rng.choice(48, 20, replace=False)) for _ in range(3)]

# Real ones: means over 2x2 pixels of handwritten digits, those under 5 against the rest.
digits = load_digits()
pooled = digits.data.reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16).astype(np.float32)
low, high = pooled[digits.target < 5], pooled[digits.target >= 5]
few = [(np.arange(0, 800, 8), np.arange(0, 700, 7))]

logits = torch.from_numpy(3 * rng.standard_normal((40, 7)))


def resized(shape, to):
    image = rng.integers(0, 256, shape).astype(np.uint8)
    colour = np.repeat(image[:, :, None], 3, axis=2)
    func = build_resizer("clean") if to == (299, 299) else make_resizer("PIL", False, "bicubic", (to[1], to[0]))
    out = func(colour)[:, :, 0]
    rows = list(range(to[0])) if to[0] < 50 else [0, 1, 2, 150, 297, 298]
    return {"image": image.tolist(), "to": to, "rows": rows, "values": out[rows].tolist()}


found = {
    "x": x.tolist(),
    "y": y.tolist(),
    "subsets": [[a.tolist(), b.tolist()] for a, b in subsets],
    "random": distances(x, y, subsets, [3, 5]),
    "digits": distances(low, high, few, [3, 5]),
    "logits": logits.tolist(),
    "scores": {str(n): inception_score(logits, n) for n in (2, 4)},
    "resized": [resized((5, 7), (11, 16)), resized((20, 24), (9, 7)), resized((32, 32), (299, 299)), resized((8, 6), (8, 13))],
}
(here / "features.json").write_text(json.dumps(found))
np.savez_compressed(here / "statistics.npz", mu=x.astype(float).mean(0), sigma=np.cov(x.astype(float), rowvar=False))
