"""PyTorch's side of the comparison of whole training steps of image networks. One request a line, one line of JSON as the answer.

`load FOLDER NAME` takes `unet-35m` (torchcfm's) or `dit` (diffusers') with the weights FOLDER/NAME.safetensors; `eager STEPS` and `compiled STEPS` train as
image_steps.py says and answer {"seconds": per step, "value": mean loss of them}; `versions` says what runs.
"""
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from image_steps import Training

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

for line in sys.stdin:
    match line.split():
        case ["load", folder, name]:
            weights = load_file(Path(folder) / f"{name}.safetensors")
            work, answer = {"eager": Training(name, weights), "compiled": Training(name, weights, torch.compile)}, {}
        case ["versions"]:
            answer = {"PyTorch": torch.__version__} | {n: importlib.metadata.version(n) for n in ("torchcfm", "diffusers")}
        case [how, steps]:
            started = time.perf_counter()
            value = work[how].run(int(steps))
            answer = {"seconds": (time.perf_counter() - started) / int(steps), "value": value}
    print(json.dumps(answer), flush=True)
