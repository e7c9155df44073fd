"""Writes interval.json beside itself: mean velocities u(x, t, h) of an MLP and of a diffusion transformer with an interval, and their derivatives
along a direction of (x, t, h), by torch.func.jvp in f64.

Needs: pip install torch.
"""
import json
import math
import pathlib

import torch
from torch.nn import functional as F

from common import tensor, weight

torch.set_default_dtype(torch.float64)


def sinusoids(t, width):
    half = width // 2
    angles = t[:, None] * torch.exp(-math.log(10_000) * torch.arange(half) / half)
    return torch.cat([angles.cos(), angles.sin()], 1)


def linear(p, name, x):
    return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))


def mlp(p, x, t, h):
    y = linear(p, "net.0", torch.cat([x, t[:, None]], 1)) + linear(p, "interval", h[:, None])
    return linear(p, "net.4", F.gelu(linear(p, "net.2", F.gelu(y))))


def mlp_shapes(dim, a, b):
    return {"net.0.weight": (a, dim + 1), "net.0.bias": (a,), "net.2.weight": (b, a), "net.2.bias": (b,), "net.4.weight": (dim, b),
            "net.4.bias": (dim,), "interval.weight": (a, 1)}


WIDTH, HEADS, PATCH, CHANNELS, SIDE, DEPTH = 16, 2, 2, 3, 4, 2


def positions():
    quarter, side = WIDTH // 4, SIDE // PATCH
    frequencies = 10_000.0 ** (-torch.arange(quarter) / quarter)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    parts = [f(place.flatten()[:, None] * frequencies) for place in (column, row) for f in (torch.sin, torch.cos)]
    return torch.cat(parts, 1)


def modulate(x, shift, scale):
    return F.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]


def dit(p, x, t, h, decoder=0):
    """The last `decoder` blocks and the output layer see t + h, if there are any; otherwise h has an embedding."""
    def embed(name, value):
        return linear(p, f"{name}.mlp.2", F.silu(linear(p, f"{name}.mlp.0", sinusoids(value, 256))))

    c = F.silu(embed("t_embedder", t) if decoder else embed("t_embedder", t) + embed("h_embedder", h))
    y = F.conv2d(x, p["x_embedder.proj.weight"], p["x_embedder.proj.bias"], stride=PATCH).flatten(2).transpose(1, 2) + positions()
    for i in range(DEPTH):
        if decoder and i == DEPTH - decoder:
            c = F.silu(embed("t_embedder", t + h))
        b1, s1, g1, b2, s2, g2 = linear(p, f"blocks.{i}.adaLN_modulation.1", c).chunk(6, 1)
        q, k, v = linear(p, f"blocks.{i}.attn.qkv", modulate(y, b1, s1)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = (q @ k.transpose(2, 3) / math.sqrt(WIDTH // HEADS)).softmax(-1) @ v
        y = y + g1[:, None] * linear(p, f"blocks.{i}.attn.proj", attended.transpose(1, 2).flatten(2))
        inner = F.gelu(linear(p, f"blocks.{i}.mlp.fc1", modulate(y, b2, s2)), approximate="tanh")
        y = y + g2[:, None] * linear(p, f"blocks.{i}.mlp.fc2", inner)
    shift, scale = linear(p, "final_layer.adaLN_modulation.1", c).chunk(2, 1)
    out = linear(p, "final_layer.linear", modulate(y, shift, scale))
    side = SIDE // PATCH
    return out.view(-1, side, side, PATCH, PATCH, CHANNELS).permute(0, 5, 1, 3, 2, 4).reshape(-1, CHANNELS, SIDE, SIDE)


def dit_shapes(embedders=("t_embedder", "h_embedder")):
    w = WIDTH
    shapes = {"x_embedder.proj.weight": (w, CHANNELS, PATCH, PATCH), "x_embedder.proj.bias": (w,),
              "final_layer.adaLN_modulation.1.weight": (2 * w, w), "final_layer.adaLN_modulation.1.bias": (2 * w,),
              "final_layer.linear.weight": (PATCH * PATCH * CHANNELS, w), "final_layer.linear.bias": (PATCH * PATCH * CHANNELS,)}
    for name in embedders:
        shapes |= {f"{name}.mlp.0.weight": (w, 256), f"{name}.mlp.0.bias": (w,), f"{name}.mlp.2.weight": (w, w), f"{name}.mlp.2.bias": (w,)}
    for i in range(DEPTH):
        for part, rows, columns in [("attn.qkv", 3 * w, w), ("attn.proj", w, w), ("mlp.fc1", 4 * w, w), ("mlp.fc2", w, 4 * w),
                                    ("adaLN_modulation.1", 6 * w, w)]:
            shapes |= {f"blocks.{i}.{part}.weight": (rows, columns), f"blocks.{i}.{part}.bias": (rows,)}
    return shapes


def case(config, network, shapes, row):
    p = {name: weight(name, shape).double() for name, shape in shapes.items()}
    t, h = torch.tensor([0.0, 0.15, 0.5]), torch.tensor([1.0, 0.4, 0.0])
    x, dx = (tensor(name, (3, *row), 1.7).double() for name in ("x", "dx"))
    along = {"pair": (dx, 1.0, -1.0), "end": (torch.zeros_like(x), 0.0, 1.0)}
    out = {"config": config, "parameters": {n: list(s) for n, s in shapes.items()}, "shape": list(row), "t": t.tolist(), "h": h.tolist()}
    for name, (dx, dt, dh) in along.items():
        u, du = torch.func.jvp(lambda *at: network(p, *at), (x, t, h), (dx, torch.full_like(t, dt), torch.full_like(h, dh)))
        out["u"], out[name] = u.flatten().tolist(), du.flatten().tolist()
    return out


time = dict(scale=1.0)
out = {"mlp": case(dict(kind="mlp", dim=3, widths=[8, 12], activation="gelu", interval=True), mlp, mlp_shapes(3, 8, 12), (3,)),
       "dit": case(dict(kind="dit", image_size=[SIDE, SIDE], patch=PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, time=time, interval=True), dit,
                   dit_shapes(), (CHANNELS, SIDE, SIDE)),
       "decoupled": case(dict(kind="dit", image_size=[SIDE, SIDE], patch=PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, time=time, interval=True,
                              decoder_blocks=1), lambda *at: dit(*at, decoder=1), dit_shapes(["t_embedder"]), (CHANNELS, SIDE, SIDE))}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
