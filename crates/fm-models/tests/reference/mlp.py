"""Writes mlp.json beside itself: torchcfm's MLP, a GELU MLP of torch.nn layers, and the ConcatSquash formula on equinox's layers.

Needs: pip install torch torchcfm equinox.
"""
import json
import pathlib

import equinox
import jax
import numpy
import torch
from torchcfm.models.models import MLP

from common import record, weight

out = {}


def fill(model):
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(weight(key, tuple(p.shape)))


model = MLP(dim=3, w=16, time_varying=True)
fill(model)
column = lambda x, t: torch.cat([x, t[:, None]], 1)
out["selu"] = {"config": dict(kind="mlp", dim=3, widths=[16, 16, 16], activation="selu"),
               **record(list(model.named_parameters()), lambda x, t, y: model(column(x, t)), (3,), 0)}

gelu = torch.nn.Module()
gelu.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.GELU(), torch.nn.Linear(8, 24), torch.nn.GELU(), torch.nn.Linear(24, 2))
fill(gelu)
out["gelu"] = {"config": dict(kind="mlp", dim=2, widths=[8, 24], activation="gelu"),
               **record(list(gelu.named_parameters()), lambda x, t, y: gelu.net(column(x, t)), (2,), 0)}

jax.config.update("jax_enable_x64", True)


def concat_squash(name, dim, widths, classes, class_width):
    """lin1(x) sigmoid(lin2(c)) + lin3(c), tanh between; value and gradients by equinox and jax, in f64."""
    context = 1 + (class_width if classes else 0)
    sizes = [dim, *widths, dim]
    values = {}
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        shapes = {"lin1.weight": (b, a), "lin1.bias": (b,), "lin2.weight": (b, context), "lin2.bias": (b,), "lin3.weight": (b, context)}
        values.update({f"layers.{i}.{k}": s for k, s in shapes.items()})
    if classes:
        values["label_emb.weight"] = (classes + 1, class_width)
    values = {k: weight(k, s).numpy().astype(numpy.float64) for k, s in values.items()}

    def linear(p, prefix, x):
        w = p[f"{prefix}.weight"]
        layer = equinox.nn.Linear(w.shape[1], w.shape[0], use_bias=f"{prefix}.bias" in p, key=jax.random.PRNGKey(0), dtype=jax.numpy.float64)
        layer = equinox.tree_at(lambda l: l.weight, layer, w)
        if f"{prefix}.bias" in p:
            layer = equinox.tree_at(lambda l: l.bias, layer, p[f"{prefix}.bias"])
        return layer(x)

    def one(p, x, t, y):
        c = jax.numpy.concatenate([t[None], p["label_emb.weight"][y]]) if classes else t[None]
        for i in range(len(sizes) - 1):
            x = jax.numpy.tanh(x) if i else x
            x = linear(p, f"layers.{i}.lin1", x) * jax.nn.sigmoid(linear(p, f"layers.{i}.lin2", c)) + linear(p, f"layers.{i}.lin3", c)
        return x

    class Call(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, t, y, *parameters):
            p = {k: v.detach().double().numpy() for k, v in zip(values, parameters)}
            batched = lambda p: jax.vmap(one, (None, 0, 0, 0))(p, x.double().numpy(), t.double().numpy(), y.numpy())
            result, ctx.back = jax.vjp(batched, p)
            return torch.from_numpy(numpy.array(result)).float()

        @staticmethod
        def backward(ctx, g):
            gradients, = ctx.back(g.double().numpy())
            return (None, None, None, *[torch.from_numpy(numpy.array(gradients[k])).float() for k in values])

    parameters = {k: torch.from_numpy(v).float().requires_grad_() for k, v in values.items()}
    forward = lambda x, t, y: Call.apply(x, t, y if y is not None else torch.zeros(len(t), dtype=torch.long), *parameters.values())
    config = dict(kind="concat-squash", dim=dim, widths=widths, classes=classes, null_class=classes > 0, class_width=class_width)
    out[name] = {"config": config, **record(list(parameters.items()), forward, (dim,), classes + 1 if classes else 0)}


concat_squash("concat-squash", 4, [8, 24, 8], 0, 16)
concat_squash("concat-squash-classes", 2, [16], 3, 5)
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
