"""Writes timed_layers.json beside itself: the layers of FFJORD and PointFlow by their formulas, on torch.nn's layers.

Needs: pip install torch scikit-learn.
"""
import json
import pathlib

import torch
from sklearn.preprocessing import PolynomialFeatures
from torch import nn

from common import record, weight

out = {}
ACTIVATIONS = dict(gelu=nn.GELU(), selu=nn.SELU(), silu=nn.SiLU(), tanh=nn.Tanh(), relu=nn.ReLU(), elu=nn.ELU(), softplus=nn.Softplus())


class Layer(nn.Module):
    def __init__(self, kind, a, b, context):
        super().__init__()
        self.kind, self.sizes = kind, (a, b)
        if kind != "hyper":
            self.lin1 = nn.Linear(a + context if kind == "concat" else a, b)
        if kind in ("concat-squash", "concat-scale", "squash", "scale"):
            self.lin2 = nn.Linear(context, b)
        if kind in ("blend", "gate"):
            self.lin2 = nn.Linear(a, b)
        if kind == "hyper":
            self.lin2 = nn.Linear(context, a * b + b)
        if kind in ("concat-squash", "concat-scale", "concat-v2"):
            self.lin3 = nn.Linear(context, b, bias=False)

    def forward(self, c, x):
        k = self.kind
        if k == "concat-squash":
            return self.lin1(x) * torch.sigmoid(self.lin2(c)) + self.lin3(c)
        if k == "concat-scale":
            return self.lin1(x) * self.lin2(c) + self.lin3(c)
        if k == "concat":
            return self.lin1(torch.cat([c, x], 1))
        if k == "concat-v2":
            return self.lin1(x) + self.lin3(c)
        if k == "squash":
            return self.lin1(x) * torch.sigmoid(self.lin2(c))
        if k == "scale":
            return self.lin1(x) * self.lin2(c)
        if k == "hyper":
            (a, b), rows = self.sizes, []
            for row, context in zip(x, c):
                params = self.lin2(context)
                rows.append(nn.functional.linear(row, params[b:].view(b, a), params[:b]))
            return torch.stack(rows)
        if k == "blend":
            y0, y1 = self.lin1(x), self.lin2(x)
            return y0 + (y1 - y0) * c[:, :1]
        if k == "gate":
            return self.lin1(x) * torch.sigmoid(self.lin2(x))
        return self.lin1(x)


def case(name, layer="concat-squash", dim=3, widths=(8, 5), activation="tanh", degree=1, classes=0, class_width=4):
    context = 1 + (class_width if classes else 0)
    powers = PolynomialFeatures(degree, include_bias=False).fit([[0.0] * dim])
    sizes = [powers.n_output_features_, *widths, dim]
    net = nn.Module()
    net.layers = nn.ModuleList(Layer(layer, a, b, context) for a, b in zip(sizes, sizes[1:]))
    if classes:
        net.label_emb = nn.Embedding(classes + 1, class_width)
    with torch.no_grad():
        for key, p in net.named_parameters():
            p.copy_(weight(key, tuple(p.shape)))

    def forward(x, t, y):
        c = t[:, None]
        if classes:
            c = torch.cat([c, net.label_emb(y)], 1)
        h = torch.from_numpy(powers.transform(x.numpy())).float()
        for i, each in enumerate(net.layers):
            h = ACTIVATIONS[activation](h) if i else h
            h = each(c, h)
        return h

    config = dict(kind="concat-squash", dim=dim, widths=list(widths), layer=layer, activation=activation, degree=degree)
    if classes:
        config.update(classes=classes, null_class=True, class_width=class_width)
    out[name] = {"config": config, **record(list(net.named_parameters()), forward, (dim,), classes + 1 if classes else 0)}


KINDS = ["concat-squash", "concat-scale", "concat", "concat-v2", "squash", "scale", "hyper", "blend", "gate", "ignore"]
for kind in KINDS:
    case(kind, kind)
    if kind not in ("blend", "gate", "ignore"):
        case(f"{kind}-classes", kind, classes=3)
for name in ACTIVATIONS:
    case(f"activation-{name}", activation=name)
case("polynomial", degree=3)
case("polynomial-concat", "concat", degree=2)
case("one-layer", widths=())
case("one-layer-polynomial", widths=(), degree=2)
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
