"""Writes moons.npy and 8gaussians.npy beside itself: 4000 points of torchcfm's own toy distributions.

Needs: pip install torch torchcfm.
"""
import pathlib

import numpy
import torch
from torchcfm.utils import sample_8gaussians, sample_moons

numpy.random.seed(0)
torch.manual_seed(0)
folder = pathlib.Path(__file__).parent
for name, sample in ("moons", sample_moons), ("8gaussians", sample_8gaussians):
    numpy.save(folder / f"{name}.npy", sample(4000).numpy().astype(numpy.float32))
