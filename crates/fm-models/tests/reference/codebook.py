"""Writes codebook.json beside itself: quantisation and moving averages of vector-quantize-pytorch over a few batches.

Needs: pip install torch vector-quantize-pytorch.
"""
import json
import pathlib

import torch
from vector_quantize_pytorch import VectorQuantize

from common import tensor

K, D, N, STEPS = 8, 3, 40, 5
book = VectorQuantize(dim=D, codebook_size=K, decay=0.9, commitment_weight=0.25, eps=1e-5, threshold_ema_dead_code=0, kmeans_init=False, rotation_trick=False)
inner = book._codebook
start = tensor("codes", (K, D))
with torch.no_grad():
    inner.embed.copy_(start[None])
    inner.embed_avg.copy_(start[None])
    inner.cluster_size.fill_(1.0)
book.train()
out = {"steps": []}
for step in range(STEPS):
    z = tensor(f"z{step}", (1, N, D), 1.5).requires_grad_()
    codes, numbers, loss = book(z)
    (codes * tensor(f"g{step}", (1, N, D))).sum().backward()
    out["steps"].append({"numbers": numbers.flatten().tolist(), "commitment": loss.item() / 0.25, "gradient": z.grad.flatten().tolist(),
                         "embed": inner.embed.flatten().tolist(), "cluster_size": inner.cluster_size.flatten().tolist()})
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
