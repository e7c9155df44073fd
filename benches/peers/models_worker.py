"""The peers' side of the comparison of networks, on the device that the first argument names. One request a line, one line of JSON as the answer.

`load DIR NAME [ROWS f32|bf16]` reads weights, strictly, and inputs into torchcfm's U-Net or diffusers' DiT; bf16 is autocast. `eager train [N]`,
`eager infer [N]`, `compiled train [N]`, `compiled infer [N]`, `last train [N]` (eager, channels last), `eager sample STEPS` and `compiled sample STEPS`
(torchdiffeq's Euler) do the same work as ours and answer {"seconds", "value"}; seconds are those of one of the N passes, and the device is read once,
at the end. `gradient DIR NAME` answers {"value"}: |a - b| / |b| of our gradient a, as written there, and eager PyTorch's b; `versions` says what runs.
"""
import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torchdiffeq import odeint

from networks import build

device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
threads = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(threads)


class Loaded:
    def __init__(self, folder, name, rows=None, precision="f32"):
        self.name, self.autocast = name, precision == "bf16"
        weights = load_file(Path(folder) / f"{name}.safetensors")
        self.model, self.call = build("unet-35m" if name == "cifar10" else name, weights=weights)
        self.weights = weights
        self.model.to(device)
        self.x, self.w = (torch.from_numpy(np.load(Path(folder) / f"{name}-{key}.npy")).to(device) for key in ("x", "weights"))
        rows = len(self.x)
        self.t = (torch.arange(rows, device=device) + 0.5) / rows
        self.y = torch.arange(rows, device=device) % 10
        self.compiled = torch.compile(self.model)
        self.last = None

    def velocity(self, model, x, t, y):
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=self.autocast):
            return self.call(model, x, t, y).float()

    def train(self, model, x, passes=1):
        # No dropout anywhere, and no labels dropped by the model itself.
        model.eval()
        for _ in range(int(passes)):
            model.zero_grad(set_to_none=True)
            loss = (self.velocity(model, x, self.t, self.y) * self.w).sum()
            loss.backward()
        return loss.item()

    def infer(self, model, x, passes=1):
        model.eval()
        with torch.no_grad():
            for _ in range(int(passes)):
                # One time for all, as in sampling; the peers take a time a sample.
                v = self.velocity(model, x, torch.full((len(x),), 0.3, device=device), self.y)
            return v.abs().mean().item()

    def sample(self, model, x, steps):
        model.eval()
        velocity = lambda t, x: self.velocity(model, x, t.expand(len(x)), self.y)
        with torch.no_grad():
            return odeint(velocity, x, torch.linspace(0, 1, int(steps) + 1, device=device), method="euler")[-1].abs().mean().item()

    def gradient(self, folder):
        """|a - b| / |b| of our gradient and this one, by our names."""
        ours = load_file(Path(folder) / f"{self.name}-gradient.safetensors")
        self.model.eval()
        if self.name == "dit":
            import dit
            leaves = {n: self.weights[n].to(device).requires_grad_() for n in ours}
            call = dit.caller(self.model, leaves, 6, 3, 1000.0)
            run = lambda: call(self.x, self.t, self.y)
        else:
            leaves = {n: p for n, p in self.model.named_parameters() if n in ours}
            run = lambda: self.call(self.model, self.x, self.t, self.y)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=self.autocast):
            v = run().float()
        theirs = torch.autograd.grad((v * self.w).sum(), list(leaves.values()))
        off = sum((ours[n].double() - g.double().cpu()).square().sum().item() for n, g in zip(leaves, theirs))
        return (off / sum(g.double().square().sum().item() for g in theirs)) ** 0.5 if len(leaves) == len(ours) else None

    def channels_last(self):
        if self.last is None:
            import copy
            self.last = copy.deepcopy(self.model).to(memory_format=torch.channels_last)
        return self.last


loaded = None
for line in sys.stdin:
    match line.split():
        case ["load", folder, name, *size]:
            loaded, answer = Loaded(folder, name, *size), {}
        case ["gradient", folder, _]:
            answer = {"value": loaded.gradient(folder)}
        case ["versions"]:
            answer = {"PyTorch": torch.__version__} | {n: importlib.metadata.version(n) for n in ("torchcfm", "diffusers", "torchdiffeq")}
        case [how, what, *more]:
            work = getattr(loaded, what)
            model, x = {"eager": lambda: (loaded.model, loaded.x), "compiled": lambda: (loaded.compiled, loaded.x),
                        "last": lambda: (loaded.channels_last(), loaded.x.to(memory_format=torch.channels_last))}[how]()
            started = time.perf_counter()
            value = work(model, x, *more)
            passes = int(more[0]) if more and what != "sample" else 1
            answer = {"seconds": (time.perf_counter() - started) / passes, "value": value}
    print(json.dumps(answer), flush=True)
