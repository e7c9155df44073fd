"""Writes adamw.json beside itself: 100 steps of torch.optim.AdamW on a bowl of varying steepness. Needs: pip install torch."""
import json
import pathlib
import torch

cases = []
for lr, decay, betas in [(1e-2, 0.0, (0.9, 0.999)), (3e-3, 0.1, (0.9, 0.95)), (0.1, 0.01, (0.8, 0.99))]:
    torch.manual_seed(0)
    start, centre = torch.randn(16), torch.randn(16)
    p = start.clone().requires_grad_()
    optimizer = torch.optim.AdamW([p], lr=lr, betas=betas, weight_decay=decay)
    for step in range(100):
        p.grad = ((p - centre) * (1 + step % 7)).detach()
        optimizer.step()
    cases.append({"lr": lr, "weight_decay": decay, "beta1": betas[0], "beta2": betas[1], "start": start.tolist(),
                  "centre": centre.tolist(), "end": p.tolist()})
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases, indent=1) + "\n")
