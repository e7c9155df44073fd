"""PyTorch's side of the comparison of data-parallel training: DistributedDataParallel over Gloo, a process for each rank.

`load NAME` builds torchcfm's U-Net of a name (`unet-2m`: 32 channels, multiples 1, 2, 2, 2, two blocks, batch 64; `unet-35m`: 128 channels, multiples
1, 2, 2, 2, two blocks, batch 8) with dropout 0 and a moving average of its weights, as torchcfm's own CIFAR-10 script keeps it. `loop STEPS` trains in
eager mode on this rank's share of the batch: noise, times, mean squared error, gradients clipped at 1, AdamW. DDP is as it comes: buckets of 25 MiB,
summed while the backward pass goes on. Answers {"seconds", "value"}: seconds a step, and the mean loss of rank 0's rows. `reduce COUNT KIND TIMES` adds up
a vector with `all_reduce` (of bf16: cast, summed and cast back): seconds of the fastest half.
"""
import copy
import json
import os
import sys
import time

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from torchcfm.models.unet.unet import UNetModelWrapper

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
dist.init_process_group("gloo")
RANK, SIZE = dist.get_rank(), dist.get_world_size()
NETWORKS = {
    "unet-2m": (dict(num_channels=32, num_res_blocks=2, channel_mult=[1, 2, 2, 2], num_head_channels=32, attention_resolutions="8"), 64),
    "unet-35m": (dict(num_channels=128, num_res_blocks=2, channel_mult=[1, 2, 2, 2], num_head_channels=64, attention_resolutions="16"), 8),
}


class Training:
    def __init__(self, name):
        shape, batch = NETWORKS[name]
        torch.manual_seed(0)
        self.network = UNetModelWrapper(dim=(3, 32, 32), dropout=0.0, num_classes=10, class_cond=True, **shape)
        self.average = copy.deepcopy(self.network)
        self.parallel = DistributedDataParallel(self.network)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-3, weight_decay=0.0)
        self.rows = batch // SIZE
        noise = np.random.default_rng(0).standard_normal((2048, 3, 32, 32))
        self.data = torch.from_numpy((127.5 + 60 * noise).clip(0, 255).astype(np.uint8))
        self.labels = torch.arange(2048) % 10
        torch.manual_seed(1 + RANK)

    def step(self):
        rows = torch.randint(0, len(self.data), (self.rows,))
        x1 = self.data[rows].float() * (2 / 255) - 1
        x0, t = torch.randn_like(x1), torch.rand(self.rows)
        at = t.view(-1, 1, 1, 1)
        loss = (self.parallel(t, at * x1 + (1 - at) * x0, self.labels[rows]) - (x1 - x0)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for kept, now in zip(self.average.parameters(), self.network.parameters()):
                kept.lerp_(now, 1e-3)
        return loss.item()


def reduce(count, kind, times):
    seconds = []
    vector = torch.ones(count)

    def once():
        if kind == "bf16":
            sent = vector.to(torch.bfloat16)
            dist.all_reduce(sent)
            vector.copy_(sent)
        else:
            dist.all_reduce(vector)

    for _ in range(times):
        vector.fill_(1.0)
        once()
        started = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - started)
    half = sorted(seconds)[: (times + 1) // 2]
    return {"seconds": sum(half) / len(half), "value": float(vector[0])}


training = None
for line in sys.stdin:
    match line.split():
        case ["load", name]:
            training = Training(name)
            answer = {"parameters": sum(p.numel() for p in training.network.parameters())}
        case ["loop", steps]:
            started = time.perf_counter()
            losses = [training.step() for _ in range(int(steps))]
            answer = {"seconds": (time.perf_counter() - started) / int(steps), "value": sum(losses) / len(losses)}
        case ["reduce", count, kind, times]:
            answer = reduce(int(count), kind, int(times))
        case ["versions"]:
            answer = {"PyTorch": torch.__version__}
    print(json.dumps(answer), flush=True)
