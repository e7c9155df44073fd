"""Writes sequence.json beside itself: the blocks and the output layer of diffusers' DiTTransformer2DModel over the tokens of a sequence, with
diffusers' one-dimensional positions and weights that both languages compute. A condition vector takes the place of the class embedding.

Needs: pip install torch diffusers.
"""
import json
import pathlib

import torch
from diffusers.models.embeddings import get_1d_sincos_pos_embed_from_grid

from common import record, weight
from dit import peer, shapes, theirs


class Sequences(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens, t, labels):
        for block in self.model.transformer_blocks:
            tokens = block(tokens, timestep=t, class_labels=labels)
        c = self.model.transformer_blocks[0].norm1.emb(t, labels, hidden_dtype=tokens.dtype)
        shift, scale = self.model.proj_out_1(torch.nn.functional.silu(c)).chunk(2, dim=1)
        return self.model.proj_out_2(self.model.norm_out(tokens) * (1 + scale[:, None]) + shift[:, None])


def parameters(width, depth, channels, classes, vectors):
    for name, shape in shapes(width, depth, 1, channels, classes, False):
        if name.startswith("x_embedder"):
            yield name.replace(".proj", ""), (width, channels) if name.endswith("weight") else shape
        elif not name.startswith("y_embedder"):
            yield name, shape
    if classes:
        yield "y_embedder.embedding_table.weight", (classes + 1, width)
    if vectors:
        yield from {"c_embedder.0.weight": (width, vectors), "c_embedder.0.bias": (width,), "c_embedder.2.weight": (width, width),
                    "c_embedder.2.bias": (width,)}.items()


def case(length, channels, classes, vectors, width=32, depth=2, heads=2, scale=1000.0):
    ours = {n: weight(n, s).requires_grad_() for n, s in parameters(width, depth, channels, classes, vectors)}
    model = Sequences(peer(width, depth, heads, 1, channels, 4, max(classes, 8), False))
    grid = torch.arange(length, dtype=torch.float64)
    position = get_1d_sincos_pos_embed_from_grid(width, grid, output_type="pt").float()

    def forward(x, t, y):
        linear = torch.nn.functional.linear
        named = dict(ours)
        named["x_embedder.proj.weight"], named["x_embedder.proj.bias"] = torch.zeros(width, channels, 1, 1), torch.zeros(width)
        labels = y
        if not classes:
            labels = torch.arange(len(t))
            rows = torch.zeros(len(t), width)
            if vectors:
                # The vector of row i is (i + 1) / 4 in place k = 0, 1, ... with alternating sign.
                sign = torch.tensor([(-1.0) ** k for k in range(vectors)])
                given = (torch.arange(len(t)) + 1)[:, None] / 4 * sign
                hidden = torch.nn.functional.silu(linear(given, ours["c_embedder.0.weight"], ours["c_embedder.0.bias"]))
                rows = linear(hidden, ours["c_embedder.2.weight"], ours["c_embedder.2.bias"])
            named["y_embedder.embedding_table.weight"] = torch.cat([rows, torch.zeros(9 - len(t), width)])
        tokens = linear(x, ours["x_embedder.weight"], ours["x_embedder.bias"]) + position
        inner = {f"model.{n}": p for n, p in theirs(named, depth).items()}
        return torch.func.functional_call(model, inner, (tokens, t * scale, labels))

    config = dict(length=length, channels=channels, width=width, depth=depth, heads=heads, classes=classes, null_class=classes > 0,
                  condition_dim=vectors, time=dict(scale=scale))
    return {"config": config, **record(list(ours.items()), forward, (length, channels), classes + 1 if classes else 0)}


if __name__ == "__main__":
    out = {"plain": case(7, 2, 0, 0), "classes": case(12, 1, 6, 0), "vectors": case(5, 3, 0, 4)}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
