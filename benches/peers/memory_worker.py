"""Peak memory of PyTorch's own training of the small U-Net, a process for each measurement.

`run STEPS` trains torchcfm's U-Net `tiny` of networks.py in eager mode on batches of 64 as image_steps.py says. Answers {"before", "peak"} in bytes: resident
before the network is built, and the most ever resident.
"""
import json
import os
import sys

import torch
import torchcfm.models.unet.unet  # noqa: F401, resident before the network is built

from image_steps import Training

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def resident(field):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(field + ":"))


for line in sys.stdin:
    match line.split():
        case ["run", steps]:
            before = resident("VmRSS")
            Training("tiny").run(int(steps))
            answer = {"before": before, "peak": resident("VmHWM")}
        case ["versions"]:
            answer = {"PyTorch": torch.__version__}
    print(json.dumps(answer), flush=True)
