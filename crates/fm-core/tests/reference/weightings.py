"""Weightings and losses by diffusers, PyTorch and rectified-flow-pytorch -> weightings.json.

pip install diffusers==0.42.1 torch==2.11.0 rectified-flow-pytorch==0.14.0 && python weightings.py

Signal and noise are those of the quarter circle, sin and cos of pi t / 2, which is variance preserving as diffusers expects.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from diffusers import EDMEulerScheduler
from diffusers.training_utils import compute_loss_weighting_for_sd3, compute_snr
from rectified_flow_pytorch.rectified_flow import PseudoHuberLoss

torch.set_default_dtype(torch.float64)
t = torch.tensor([0.01, 0.2, 0.37, 0.5, 0.81, 0.99])
alpha, sigma = torch.sin(torch.pi * t / 2), torch.cos(torch.pi * t / 2)
# diffusers takes a table of alpha^2 and indices into it; its table lives in f32 in real schedulers, in f64 here.
snr = compute_snr(SimpleNamespace(alphas_cumprod=alpha**2), torch.arange(len(t)))
# Hang et al.'s weights as diffusers' training scripts apply them, for gamma = 5. diffusers' velocity is alpha eps - sigma x, which is
# ours times -2 / pi: an error of ours counts (2 / pi)^2 as much.
clipped = torch.minimum(snr, torch.full_like(snr, 5.0))
edm = EDMEulerScheduler(sigma_data=0.5)
# The weight of EDM's data error is 1 / c_out^2; c_out is what a network's output of 1 adds to the denoised sample.
c_out = torch.stack([edm.precondition_outputs(torch.tensor(0.0), torch.tensor(1.0), r) for r in sigma / alpha])

torch.manual_seed(1)
p, q = torch.randn(4, 12), torch.randn(4, 12)
huber = PseudoHuberLoss(data_dim=12)
reference = {
    "path": "trigonometric", "t": t.tolist(),
    "weights": {
        "uniform": {"velocity": torch.ones_like(t).tolist()},
        "snr": {"velocity": snr.tolist()}, "inverse-snr": {"velocity": (1 / snr).tolist()},
        "min-snr": {
            "data": clipped.tolist(), "noise": (clipped / snr).tolist(),
            "velocity": (clipped / (snr + 1) * (2 / torch.pi) ** 2).tolist(),
        },
        "clipped-snr": {"velocity": clipped.tolist()},
        "sd3-sigma": {"velocity": compute_loss_weighting_for_sd3("sigma_sqrt", sigma).tolist()},
        "sd3-cosmap": {"velocity": compute_loss_weighting_for_sd3("cosmap", sigma).tolist()},
        "edm": {"data": (1 / c_out**2).tolist()},
        "data-end": {"velocity": (t**2).tolist()}, "noise-end": {"velocity": ((1 - t) ** 2).tolist()},
    },
    "losses": {
        "prediction": p.reshape(-1).tolist(), "target": q.reshape(-1).tolist(), "rows": 4,
        "mse|mean": [F.mse_loss(a, b).item() for a, b in zip(p, q)],
        "mse|sum": [F.mse_loss(a, b, reduction="sum").item() for a, b in zip(p, q)],
        "pseudo-huber:c=0.00648|mean": [huber(a, b).item() for a, b in zip(p, q)],
    },
}
Path(__file__).with_suffix(".json").write_text(json.dumps(reference, indent=1))
