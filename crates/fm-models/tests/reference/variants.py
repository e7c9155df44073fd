"""Writes variants.json beside itself: networks at sizes that are no squares, a fractional width multiple, and the networks of the training guide.

The transformer is diffusers' DiTTransformer2DModel; its forward cuts the tokens into a square, so its parts are called here for a rectangle, with
the positions that diffusers' function makes of the rectangle's grid. The U-Net is torchcfm's. Needs: pip install torch torchcfm diffusers.
"""
import json
import pathlib

import torch
from diffusers.models.embeddings import get_2d_sincos_pos_embed_from_grid
from torchcfm.models.unet.unet import UNetModel

import dit
from common import record, weight

WIDTH, DEPTH, HEADS, PATCH, CHANNELS, CLASSES = 32, 2, 2, 2, 3, 6


class Transformer(torch.nn.Module):
    """diffusers' transformer on images of any height and width."""

    def __init__(self, size, guide):
        super().__init__()
        self.size = size
        self.inner = dit.peer(WIDTH, DEPTH, HEADS, PATCH, CHANNELS, 8, CLASSES, False)
        if guide:
            norm = lambda: torch.nn.LayerNorm(WIDTH, eps=1e-6)
            for block in self.inner.transformer_blocks:
                block.norm1.norm, block.norm3 = norm(), norm()
                block.ff.net[0].approximate = "none"
            self.inner.norm_out = norm()

    def positions(self):
        rows, columns = (side // PATCH for side in self.size)
        # As DiT: the column first.
        grid = torch.meshgrid(torch.arange(columns, dtype=torch.float64), torch.arange(rows, dtype=torch.float64), indexing="xy")
        grid = torch.stack(grid).reshape(2, 1, rows, columns)
        return get_2d_sincos_pos_embed_from_grid(WIDTH, grid, output_type="pt").float()

    def forward(self, x, t, y):
        net, (rows, columns) = self.inner, (side // PATCH for side in self.size)
        h = net.pos_embed.proj(x).flatten(2).transpose(1, 2) + self.positions()
        for block in net.transformer_blocks:
            h = block(h, timestep=t, class_labels=y)
        c = net.transformer_blocks[0].norm1.emb(t, y, hidden_dtype=h.dtype)
        shift, scale = net.proj_out_1(torch.nn.functional.silu(c)).chunk(2, dim=1)
        h = net.proj_out_2(net.norm_out(h) * (1 + scale[:, None]) + shift[:, None])
        h = h.reshape(-1, rows, columns, PATCH, PATCH, CHANNELS)
        return torch.einsum("nhwpqc->nchpwq", h).reshape(-1, CHANNELS, *self.size)


def norms():
    for i in range(DEPTH):
        yield f"blocks.{i}.norm1", f"transformer_blocks.{i}.norm1.norm"
        yield f"blocks.{i}.norm2", f"transformer_blocks.{i}.norm3"
    yield "final_layer.norm_final", "norm_out"


def transformer(size, guide):
    shapes = list(dit.shapes(WIDTH, DEPTH, PATCH, CHANNELS, CLASSES, False))
    shapes += [(f"{ours}.{kind}", (WIDTH,)) for ours, _ in norms() for kind in ("weight", "bias") if guide]
    ours = {n: weight(n, s).requires_grad_() for n, s in shapes}
    model = Transformer(size, guide).eval()

    def forward(x, t, y):
        parameters = dit.theirs(ours, DEPTH)
        if guide:
            parameters |= {f"{there}.{kind}": ours[f"{here}.{kind}"] for here, there in norms() for kind in ("weight", "bias")}
        return torch.func.functional_call(model, {f"inner.{n}": p for n, p in parameters.items()}, (x, t * 1000.0, y))

    config = dict(kind="dit", image_size=size, patch=PATCH, width=WIDTH, depth=DEPTH, heads=HEADS, classes=CLASSES, null_class=True)
    config |= dict(affine_norm=True, exact_gelu=True) if guide else {}
    return {"config": config, **record(list(ours.items()), forward, (CHANNELS, *size), CLASSES + 1)}


def unet(size, guide=False, channels=32, channel_mult=(1, 2), **config):
    model = UNetModel(image_size=8, in_channels=3, model_channels=channels, out_channels=3, num_res_blocks=1, attention_resolutions=() if guide else (2,),
                      channel_mult=channel_mult, num_head_channels=32).eval()
    if guide:
        # Its numbers then follow each other.
        model.middle_block = type(model.middle_block)(model.middle_block[0], model.middle_block[2])
        model.out[2] = torch.nn.Conv2d(channels, 3, 1)
    parameters = list(model.named_parameters())
    with torch.no_grad():
        for name, p in parameters:
            p.copy_(weight(name, p.shape))
    config = dict(kind="unet", image_size=size, channels=channels, channel_mult=channel_mult, res_blocks=1, attention_at=[] if guide else [2],
                  head_channels=32, dropout=0.0, **config)
    return {"config": config, **record(parameters, lambda x, t, y: model(t, x), (3, *size), 0)}


if __name__ == "__main__":
    out = {
        "dit-8x12": transformer([8, 12], False),
        "dit-guide": transformer([8, 8], True),
        "unet-8x12": unet([8, 12]),
        "unet-half": unet([8, 8], channels=64, channel_mult=(0.5, 1)),
        "unet-guide": unet([8, 8], guide=True, middle_attention=False, out_kernel=1),
    }
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
