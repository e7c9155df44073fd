"""What public implementations say of two sets of images: pytorch-fid, clean-fid, torchmetrics, prdc, NumPy and SciPy.

    pip install pytorch-fid==0.3.0 prdc==0.2 torchmetrics==1.9.0 clean-fid==0.1.35     (with torch, torchvision, scikit-learn, safetensors)
    python evaluate.py > evaluate.json

The sets are halves of the handwritten digits that scikit-learn has: as they are, and blown up to colour images of 32 x 32. Their sizes are
multiples of ten, since torchmetrics cuts other sizes into splits of an inception score differently from the original.
"""
import json
import os
import pathlib
import sys

import numpy as np
import torch
from cleanfid.fid import kernel_distance
from cleanfid.resize import build_resizer
from prdc import compute_prdc
from pytorch_fid.fid_score import calculate_frechet_distance
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits
from torchmetrics.image.inception import InceptionScore

HALF, FEW = 890, 20
reference = pathlib.Path(__file__).parents[4] / "crates/fm-models/tests/reference"
sys.path.insert(0, str(reference))
sys.argv = [str(reference / "features.py")]
# Imports and prdc print; only the result is to be written.
answer, sys.stdout = sys.stdout, open(os.devnull, "w")
import features as nets

digits = np.rint(load_digits().images).astype(np.uint8)
# Red as it is, green upside down, blue dark: 0 to 240.
large = np.repeat(np.repeat(digits * 15, 4, 1), 4, 2)
colour = np.stack([large, large[:, ::-1], large // 2], 1)


def gaussian(z):
    return z.mean(0), np.cov(z, rowvar=False)


def distances(x, y):
    """Of samples x and real y."""
    x, y = (np.asarray(z, dtype=float) for z in (x, y))
    np.random.seed(0)
    found = {"kid": kernel_distance(x, y, num_subsets=1, max_subset_size=len(x))}
    if len(x) > 4 * x.shape[1]:
        found["fd"] = float(calculate_frechet_distance(*gaussian(x), *gaussian(y)))
    near, wide = (compute_prdc(y.astype(np.float32), x.astype(np.float32), k) for k in (3, 5))
    found |= {k: near[k] for k in ("precision", "recall")} | {k: wide[k] for k in ("density", "coverage")}
    return {k: float(v) for k, v in found.items()}


def energy(x, y):
    """Without the distances of points to themselves."""
    within = lambda z: cdist(z, z).sum() / (len(z) * (len(z) - 1))
    return float(2 * cdist(x, y).mean() - within(x) - within(y))


def score(logits):
    metric = InceptionScore(feature=torch.nn.Identity(), splits=10)
    torch.manual_seed(0)
    order = torch.randperm(len(logits))
    shuffled = torch.empty_like(logits)
    shuffled[order] = logits
    metric.update(shuffled)
    torch.manual_seed(0)
    return float(metric.compute()[0])


def copies(x, y):
    """The share of samples nearer to a real image than 1 % of real images are to another."""
    among = cdist(y, y)
    np.fill_diagonal(among, np.inf)
    return float((cdist(x, y).min(1) < np.percentile(among.min(1), 1)).mean())


def by_resnet(images):
    return nets.resnet20(nets.normal(torch.from_numpy(images).float()), nets.weights)


def by_inception(images, protocol):
    if protocol == "pytorch-fid":
        return nets.network(torch.from_numpy(images).float() / 255)[0].flatten(1)
    resize = build_resizer("clean")
    ready = torch.from_numpy(np.stack([resize(i.transpose(1, 2, 0)) for i in images])).permute(0, 3, 1, 2)
    plain = nets.fid.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    return plain((ready - 128) / 128)[0].flatten(1)


real, fake = slice(0, HALF), slice(HALF, 2 * HALF)
found = {}
# Pixels are compared in [0, 1]; the arrays are bytes.
flat = digits.reshape(len(digits), -1).astype(np.float32) / np.float32(255)
found["pixels"] = distances(flat[fake], flat[real])
found["pixels"]["energy"] = energy(flat[fake].astype(float), flat[real].astype(float))
# Fewer samples than real images, of which as many are taken, evenly spaced.
found["pixels, 300 samples"] = distances(flat[fake][:300], flat[real][[i * HALF // 300 for i in range(300)]])
found["copies"] = copies(flat[fake].astype(float), flat[real].astype(float))
(f, logits), (r, _) = by_resnet(colour[fake].copy()), by_resnet(colour[real].copy())
found["resnet20"] = distances(f.numpy(), r.numpy()) | {"is": score(logits.double())}
for protocol in ("pytorch-fid", "clean-fid"):
    f, r = (by_inception(colour[s].copy(), protocol) for s in (slice(HALF, HALF + FEW), slice(0, FEW)))
    found[f"inception {protocol}"] = distances(f.numpy(), r.numpy()) | {"is": score((f @ nets.made["fc.weight"].T).double())}
print(json.dumps(found, indent=1), file=answer)
