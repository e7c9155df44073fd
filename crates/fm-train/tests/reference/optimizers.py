"""100 steps of PyTorch's optimizers on a network, for tests/optimizers.rs: `python3 optimizers.py > optimizers.json`. Needs torch 2.11.

The network is 3-16-12-16-12-2 with tanh between its layers; weights and batch are sines, which both sides can write down. Muon iterates in bfloat16 in
PyTorch; here that rounding is switched off, so that its formula is what is compared.
"""
import json
import math

import torch

torch.Tensor.bfloat16 = lambda self: self
SIZES = [3, 16, 12, 16, 12, 2]


def wave(shape, phase, scale):
    n = math.prod(shape)
    return (torch.sin(torch.arange(n, dtype=torch.float64) * 0.7 + phase) * scale).float().reshape(shape)


def network():
    parameters = {}
    for k, (a, b) in enumerate(zip(SIZES, SIZES[1:])):
        parameters[f"net.{2 * k}.weight"] = wave((b, a), k, a**-0.5)
        parameters[f"net.{2 * k}.bias"] = wave((b,), k + 0.5, 0.1)
    return {name: p.requires_grad_() for name, p in parameters.items()}


def forward(p, x):
    for k in range(len(SIZES) - 1):
        x = torch.tanh(x) if k else x
        x = x @ p[f"net.{2 * k}.weight"].T + p[f"net.{2 * k}.bias"]
    return x


def run(make):
    p = network()
    x, y = wave((32, 3), 0.3, 1.0), wave((32, 2), 1.3, 1.0)
    optimizers = make(p)
    for _ in range(100):
        for optimizer in optimizers:
            optimizer.zero_grad()
        (forward(p, x) - y).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    return {name: v.detach().flatten().tolist() for name, v in p.items()}


def muon(p):
    hidden = [p[f"net.{k}.weight"] for k in (2, 4, 6)]
    rest = [v for v in p.values() if not any(v is h for h in hidden)]
    muon = torch.optim.Muon(hidden, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, lr=1e-3, weight_decay=0.1)]


def matrices(p):
    groups = [{"params": [v for v in p.values() if v.dim() > 1], "weight_decay": 0.5},
              {"params": [v for v in p.values() if v.dim() < 2], "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=1e-3)]


def slow_first(p):
    first = [v for name, v in p.items() if name.startswith("net.0.")]
    rest = [v for name, v in p.items() if not name.startswith("net.0.")]
    return [torch.optim.AdamW([{"params": first, "lr": 1e-4}, {"params": rest}], lr=1e-3, weight_decay=0.0)]


print(json.dumps({
    "adamw": run(lambda p: [torch.optim.AdamW(p.values(), lr=1e-3, weight_decay=0.1)]),
    "adamw:beta1=0.8,beta2=0.95,eps=0.001": run(
        lambda p: [torch.optim.AdamW(p.values(), lr=1e-3, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)]),
    "adam": run(lambda p: [torch.optim.Adam(p.values(), lr=1e-3, weight_decay=0.1)]),
    "muon": run(muon),
    "matrices": run(matrices),
    "slow-first": run(slow_first),
}))
