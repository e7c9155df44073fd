"""Many starts of the network of gaussian4-tuned at once, in PyTorch: how many stay on a plateau.

    python gaussian4_starts.py [--lr 3e-3] [--cosine] [--warmup 1000] [--steps 7000] [--starts 32] [--seed 0]

The same initialisation, objective, AdamW and moving average as the preset; one batch of matrices has
all starts. Covariances are compared with that of the training rows, over noise whose sample mean and
covariance are those of the source, so errors are those of the networks alone. Needs torch and numpy.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

ROWS = Path(__file__).parents[4] / "crates/fm-data/assets/gaussian4.csv"
WIDTHS = [4, 4, 4, 4, 4]


def start(starts, generator):
    """Linear layers of torch.nn, one per start: lin1 of x, lin2 and lin3 of t."""
    params = []
    for a, b in zip(WIDTHS, WIDTHS[1:]):
        for shape, fan_in in [((a, b), a), ((1, b), a), ((1, b), 1), ((1, b), 1), ((1, b), 1)]:
            draw = torch.rand(starts, *shape, generator=generator, dtype=torch.float64) * 2 - 1
            params.append((draw / math.sqrt(fan_in)).float().requires_grad_())
    return params


def velocity(params, x, t):
    layers = len(WIDTHS) - 1
    for i in range(layers):
        w1, b1, w2, b2, w3 = params[5 * i : 5 * i + 5]
        x = (x @ w1 + b1) * torch.sigmoid(t * w2 + b2) + t * w3
        x = torch.tanh(x) if i < layers - 1 else x
    return x


@torch.no_grad()
def errors(params, rows, samples=4000, steps=10):
    """Relative errors of the covariance of samples by RK4."""
    z = torch.randn(samples, 4, generator=torch.Generator().manual_seed(77), dtype=torch.float64).float()
    z = z - z.mean(0)
    z = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(z.T)), z.T, upper=False).T
    x, h = z.expand(params[0].shape[0], samples, 4), 1 / steps
    for i in range(steps):
        k1 = velocity(params, x, i * h)
        k2 = velocity(params, x + h / 2 * k1, (i + 0.5) * h)
        k3 = velocity(params, x + h / 2 * k2, (i + 0.5) * h)
        k4 = velocity(params, x + h * k3, (i + 1) * h)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    x = x - x.mean(1, keepdim=True)
    want = torch.tensor(np.cov(rows.numpy().T), dtype=torch.float32)
    return ((x.transpose(1, 2) @ x / samples - want).flatten(1).norm(dim=1) / want.norm()).numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--cosine", action="store_true")
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--starts", type=int, default=32)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = torch.tensor(np.loadtxt(ROWS, delimiter=","), dtype=torch.float32)
    params = start(args.starts, torch.Generator().manual_seed(args.seed))
    optimizer = torch.optim.AdamW(params, lr=args.lr, weight_decay=0.1, foreach=True)
    average = [p.detach().clone() for p in params]
    noise = torch.Generator().manual_seed(args.seed + 1000)
    for step in range(1, args.steps + 1):
        z = torch.randn(args.starts, *rows.shape, generator=noise)
        t = torch.rand(args.starts, len(rows), 1, generator=noise)
        loss = ((velocity(params, z + (rows - z) * t, t) - (rows - z)) ** 2).mean((1, 2)).sum()
        optimizer.zero_grad()
        loss.backward()
        decay = 0.5 * (1 + math.cos(math.pi * step / args.steps)) if args.cosine else 1.0
        optimizer.param_groups[0]["lr"] = args.lr * decay * min(1.0, step / max(args.warmup, 1))
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, [p.detach() for p in params], 1 - min(0.99, (1 + step) / (10 + step)))
        if step % 1000 == 0 or step == args.steps:
            found = np.sort(errors(average, rows))
            print(f"step {step}: median {np.median(found):.3f}, largest {found[-1]:.3f}, above .15: {(found > 0.15).sum()}")


if __name__ == "__main__":
    main()
