"""The network of WEIGHTS for PyTorch. Written by tabular-train convert; needs: pip install torch.

    from MODULE import load, start, to_network, to_table
    model = load()                       # weights from WEIGHTS beside this file
    v = model(x, t)                      # x: (B, DIMENSIONS) in the network's units; t: (B) from 0 (source) to 1 (data)
    v = model(x, t, labels)              # labels: (B) int64; without them the null label, if there is one
    x = start(1000)                      # rows of the source, in the network's units
    rows = to_table(x)                   # in the units of the table; to_network(rows) is the inverse

SUMMARY
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = json.loads(r"""CONFIG_JSON""")
NETWORK, COLUMNS = CONFIG["network"], CONFIG["columns"]
ACTIVATIONS = dict(gelu=nn.GELU, selu=nn.SELU, silu=nn.SiLU, tanh=nn.Tanh, relu=nn.ReLU, elu=nn.ELU, softplus=nn.Softplus)
LABELS = NETWORK["classes"] + NETWORK["null_class"] if NETWORK["classes"] else 0


def of_rows(t, x):
    """Times (B) of rows."""
    return torch.as_tensor(t, dtype=torch.float32, device=x.device).expand(len(x))


def labelled(labels, x):
    """The labels (B); without them the null label, or None if there is none."""
    if labels is None and NETWORK["null_class"]:
        return torch.full((len(x),), NETWORK["classes"], device=x.device)
    return labels


