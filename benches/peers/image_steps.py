"""Training steps on random images of 3 x 32 x 32 as PyTorch makes them fastest without leaving its own functions: AdamW in its fused form, clipping and
the moving average (that of torchcfm's CIFAR-10 script, a copy of the network) in their foreach forms, images kept as bytes.
"""
import copy

import numpy as np
import torch

from networks import build

BATCH = {"tiny": 64, "unet-2m": 64, "unet-35m": 8, "dit": 16}
IMAGES, CLASSES, RATE = 2048, 10, 1e-3


class Training:
    """`wrap` makes the network that is called from the network that is trained: DDP, or torch.compile."""

    def __init__(self, name, weights=None, wrap=lambda network: network, share=1, seed=1):
        torch.manual_seed(0)
        # No network has dropout; diffusers' would drop labels itself in training mode.
        self.network, self.call = build(name, CLASSES, weights)
        self.network.eval()
        self.average = copy.deepcopy(self.network)
        self.called = wrap(self.network)
        self.parameters = list(self.network.parameters())
        self.kept = [p.detach() for p in self.average.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=RATE, weight_decay=0.0, fused=True)
        self.rows = BATCH[name] // share
        noise = np.random.default_rng(0).standard_normal((IMAGES, 3, 32, 32))
        self.data = torch.from_numpy((127.5 + 60 * noise).clip(0, 255).astype(np.uint8))
        self.labels = torch.arange(IMAGES) % CLASSES
        torch.manual_seed(seed)

    def step(self):
        rows = torch.randint(0, len(self.data), (self.rows,))
        x1 = self.data[rows].float() * (2 / 255) - 1
        x0, t = torch.randn_like(x1), torch.rand(self.rows)
        at = t.view(-1, 1, 1, 1)
        loss = (self.call(self.called, at * x1 + (1 - at) * x0, t, self.labels[rows]) - (x1 - x0)).square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.kept, self.parameters, 1e-3)
        return loss.detach()

    def run(self, steps):
        """The mean loss."""
        return sum(self.step() for _ in range(steps)).item() / steps
