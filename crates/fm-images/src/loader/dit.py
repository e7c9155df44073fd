"""The network of WEIGHTS for PyTorch. Written by cifar-train convert; needs: pip install torch.

    from MODULE import load
    model = load()                       # weights from WEIGHTS beside this file
    v = model(x, t)                      # x: (B, C, H, W) in [-1, 1]; t: (B) from 0 (noise) to 1 (data)
    v = model(x, t, labels)              # labels: (B) int64; without them the null label, if there is one

SUMMARY
The names of the weights are those of DiT; in its own code they take t times the scale of CONFIG["time"], and the labels of CONFIG.
"""
import json
import math
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = json.loads(r"""CONFIG_JSON""")


class Block(nn.Module):
    def __init__(self, width, heads, affine):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6, elementwise_affine=affine) for _ in range(2))
        self.attn = nn.ModuleDict(dict(qkv=nn.Linear(width, 3 * width), proj=nn.Linear(width, width)))
        self.mlp = nn.ModuleDict(dict(fc1=nn.Linear(width, 4 * width), fc2=nn.Linear(4 * width, width)))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        b1, s1, g1, b2, s2, g2 = self.adaLN_modulation(c)[:, None].chunk(6, 2)
        h = self.norm1(x) * (1 + s1) + b1
        q, k, v = self.attn["qkv"](h).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + g1 * self.attn["proj"](F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        h = self.mlp["fc1"](self.norm2(x) * (1 + s2) + b2)
        h = F.gelu(h, approximate="none" if CONFIG.get("exact_gelu") else "tanh")
        return x + g2 * self.mlp["fc2"](h)


class Final(nn.Module):
    def __init__(self, width, out, affine):
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=affine)
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation(c)[:, None].chunk(2, 2)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class Velocity(nn.Module):
    def __init__(self):
        super().__init__()
        c = CONFIG
        width, patch, affine = c["width"], c["patch"], c.get("affine_norm", False)
        self.out = c["image_channels"] * (2 if c["learn_sigma"] or c.get("score") else 1)
        tokens = c["image_size"][0] // patch * (c["image_size"][1] // patch)
        self.x_embedder = nn.ModuleDict(dict(proj=nn.Conv2d(c["image_channels"], width, patch, patch)))
        self.t_embedder = nn.ModuleDict(dict(mlp=nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))))
        if c["classes"]:
            self.y_embedder = nn.ModuleDict(dict(embedding_table=nn.Embedding(c["classes"] + c["null_class"], width)))
        self.register_buffer("pos_embed", torch.zeros(1, tokens, width))
        self.blocks = nn.ModuleList(Block(width, c["heads"], affine) for _ in range(c["depth"]))
        self.final_layer = Final(width, patch * patch * self.out, affine)

    def embed(self, t):
        time = CONFIG["time"]
        t = t * time["scale"]
        t = t.round() if time["integer"] else t
        divisor = 128 if time["divisor"] == "half" else 127
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(128, device=t.device) / divisor)
        halves = [angles.cos(), angles.sin()]
        return torch.cat(halves if time["order"] == "cos-sin" else halves[::-1], 1)

    def forward(self, x, t, labels=None):
        patch = CONFIG["patch"]
        rows, columns = x.shape[2] // patch, x.shape[3] // patch
        c = self.t_embedder["mlp"](self.embed(torch.as_tensor(t, dtype=torch.float32, device=x.device).expand(len(x))))
        if CONFIG["classes"]:
            if labels is None and not CONFIG["null_class"]:
                raise ValueError("this network has classes and no null label: give labels")
            labels = torch.full((len(x),), CONFIG["classes"], device=x.device) if labels is None else labels
            c = c + self.y_embedder["embedding_table"](labels)
        h = self.x_embedder["proj"](x).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            h = block(h, c)
        h = self.final_layer(h, c).view(-1, rows, columns, patch, patch, self.out)
        wanted = CONFIG["image_channels"] * (2 if CONFIG.get("score") else 1)
        return h.permute(0, 5, 1, 3, 2, 4).reshape(-1, self.out, rows * patch, columns * patch)[:, :wanted]


def load(path=pathlib.Path(__file__).with_name("WEIGHTS")):
    model = Velocity()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return model.eval()
