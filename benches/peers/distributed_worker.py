"""PyTorch's side of the comparison of data-parallel training: DistributedDataParallel over Gloo, a process for each rank.

`load NAME` builds a U-Net of networks.py (`unet-2m`, `unet-35m`); `loop STEPS` trains it as image_steps.py says, on this rank's share of the batch. DDP is
as it comes: buckets of 25 MiB, summed while the backward pass goes on. Answers {"seconds", "value"}: seconds per step, and the mean loss of this rank's rows.
`reduce COUNT KIND TIMES` adds up a vector with `all_reduce` (of bf16: cast, summed and cast back): seconds of the fastest half.
"""
import json
import os
import sys
import time

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from image_steps import Training

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
dist.init_process_group("gloo")
RANK, SIZE = dist.get_rank(), dist.get_world_size()


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
            training = Training(name, wrap=DistributedDataParallel, share=SIZE, seed=1 + RANK)
            answer = {"parameters": sum(p.numel() for p in training.parameters)}
        case ["loop", steps]:
            started = time.perf_counter()
            value = training.run(int(steps))
            answer = {"seconds": (time.perf_counter() - started) / int(steps), "value": value}
        case ["reduce", count, kind, times]:
            answer = reduce(int(count), kind, int(times))
        case ["versions"]:
            answer = {"PyTorch": torch.__version__}
    print(json.dumps(answer), flush=True)
