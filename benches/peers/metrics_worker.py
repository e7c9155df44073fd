"""The peers' side of `cargo xtask bench metrics`. One request a line, one line of JSON as the answer.

`load DIR` reads two sets of rows; `energy` (SciPy's cdist, 1000 rows at a time), `frechet` (pytorch-fid's function with NumPy's covariance), `kid N`
(clean-fid's, N subsets; `kid64 N` of features as f64) and `prdc` do the work and answer {"seconds", "value", "error"}. `folders DIR N` makes two folders of images and weights for
Inception; `fid DIR` is pytorch-fid on them; `memory` the most memory so far, `versions` what runs.
"""
import json
import os
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

threads = int(os.environ["OMP_NUM_THREADS"])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
# prdc prints.
answers, sys.stdout = sys.stdout, open(os.devnull, "w")

import numpy as np
from scipy.spatial.distance import cdist

x = y = None


def energy():
    def across(a, b):
        return sum(cdist(a[i : i + 1000], b).sum() for i in range(0, len(a), 1000)) / len(a) / len(b)

    def within(a):
        # Each pair once: a block with itself, and with all rows after it.
        sums = 0.0
        for i in range(0, len(a), 1000):
            block = a[i : i + 1000]
            sums += cdist(block, block).sum() / 2 + cdist(block, a[i + 1000 :]).sum()
        return sums / (len(a) * (len(a) - 1) / 2)

    return 2 * across(x, y) - within(x) - within(y)


def frechet():
    from pytorch_fid.fid_score import calculate_frechet_distance

    a, b = (np.asarray(z, dtype=np.float64) for z in (x, y))
    of = lambda z: (np.mean(z, axis=0), np.cov(z, rowvar=False))
    return float(calculate_frechet_distance(*of(a), *of(b)))


def kid(subsets, a, b):
    from cleanfid.fid import kernel_distance

    np.random.seed(0)
    return kernel_distance(a, b, num_subsets=subsets)


def prdc():
    from prdc import compute_prdc

    return float(sum(compute_prdc(y, x, 5).values()))


def timed(work):
    started = time.perf_counter()
    value = work()
    return {"seconds": time.perf_counter() - started, "value": float(value), "error": 0.0}


def folders(place, count):
    """Smooth random images of 32 x 32, brighter on one side, and Inception with weights at random (of seed 0)."""
    import torch
    from PIL import Image
    from torch import nn

    rng = np.random.default_rng(0)
    for name, shift in (("a", 0), ("b", 24)):
        folder = Path(place) / name
        folder.mkdir(parents=True, exist_ok=True)
        for k in range(count):
            coarse = Image.fromarray(rng.integers(0, 200, (6, 6, 3), dtype=np.uint8) + np.uint8(shift))
            coarse.resize((32, 32), Image.BICUBIC).save(folder / f"{k:05}.png")
    import pytorch_fid.inception as fid

    loader, fid.load_state_dict_from_url = nn.Module.load_state_dict, lambda url, progress: None
    nn.Module.load_state_dict = lambda self, state: None
    torch.manual_seed(0)
    network = fid.fid_inception_v3()
    nn.Module.load_state_dict = loader
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    torch.save(network.state_dict(), Path(place) / "weights.pth")


COMMAND = """
import sys, torch
import pytorch_fid.inception as fid
fid.load_state_dict_from_url = lambda url, progress: torch.load(sys.argv[1])
from pytorch_fid.fid_score import calculate_fid_given_paths
torch.set_num_threads(int(sys.argv[4]))
print(float(calculate_fid_given_paths(sys.argv[2:4], 50, "cpu", 2048, 0)))
"""


def by_pytorch_fid(place):
    """The whole command, from folders to the number."""
    words = [sys.executable, "-c", COMMAND, f"{place}/weights.pth", f"{place}/a", f"{place}/b", str(threads)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()[-1])


for line in sys.stdin:
    match line.split():
        case ["load", path]:
            x, y = (np.load(f"{path}/{name}.npy") for name in ("x", "y"))
            answer = {}
        case ["energy"]:
            answer = timed(energy)
        case ["frechet"]:
            answer = timed(frechet)
        case ["kid", subsets]:
            answer = timed(lambda: kid(int(subsets), x, y))
        case ["kid64", subsets]:
            wide = (x.astype(np.float64), y.astype(np.float64))
            answer = timed(lambda: kid(int(subsets), *wide))
        case ["prdc"]:
            answer = timed(prdc)
        case ["folders", path, count]:
            folders(path, int(count))
            answer = {}
        case ["fid", path]:
            answer = timed(lambda: by_pytorch_fid(path))
        case ["memory"]:
            answer = {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        case ["versions"]:
            answer = {name: version(name) for name in ("scipy", "numpy", "pytorch-fid", "clean-fid", "prdc", "torch")}
    print(json.dumps(answer), file=answers, flush=True)
