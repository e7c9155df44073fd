"""Peak memory of PyTorch's own training of the small U-Net, a process for each measurement.

`run STEPS` trains torchcfm's U-Net (32 channels, multiples 1, 2, 2, one block, attention at 8 x 8, 10 classes) in eager mode on batches of 64 x 3 x 32 x 32:
noise, times, mean squared error, gradients clipped at 1, AdamW, and a moving average of the weights as torchcfm's own CIFAR-10 script keeps it (a
copy of the network). Answers {"before", "peak"} in bytes: resident before the network is built, and the most ever resident.
"""
import copy
import json
import os
import sys

import numpy as np
import torch
from torchcfm.models.unet.unet import UNetModelWrapper

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def resident(field):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(field + ":"))


def train(steps):
    data = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2048, 3, 32, 32), dtype=np.uint8))
    labels = torch.arange(2048) % 10
    network = UNetModelWrapper(dim=(3, 32, 32), dropout=0.0, num_channels=32, num_res_blocks=1, channel_mult=[1, 2, 2],
                               num_head_channels=32, attention_resolutions="8", num_classes=10, class_cond=True)
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, weight_decay=0.0)
    for _ in range(steps):
        rows = torch.randint(0, len(data), (64,))
        x1 = data[rows].float() * (2 / 255) - 1
        x0, t = torch.randn_like(x1), torch.rand(64)
        at = t.view(-1, 1, 1, 1)
        loss = (network(t, at * x1 + (1 - at) * x0, labels[rows]) - (x1 - x0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for kept, now in zip(average.parameters(), network.parameters()):
                kept.lerp_(now, 1e-3)


for line in sys.stdin:
    match line.split():
        case ["run", steps]:
            before = resident("VmRSS")
            train(int(steps))
            answer = {"before": before, "peak": resident("VmHWM")}
        case ["versions"]:
            answer = {"PyTorch": torch.__version__}
    print(json.dumps(answer), flush=True)
