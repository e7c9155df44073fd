"""Writes dit.json beside itself: diffusers' DiTTransformer2DModel with weights that both languages compute.

diffusers names and splits the parameters differently (and gives each block its own time and class embedding), so the field's names are mapped to
its own. Its time frequencies divide by half - 1; they are set to the original's half. Needs: pip install torch diffusers.
"""
import json
import pathlib

import torch
from diffusers import DiTTransformer2DModel

from common import record, weight


def shapes(width, depth, patch, channels, classes, sigma):
    w, out = width, patch * patch * channels * (2 if sigma else 1)
    yield from {"x_embedder.proj.weight": (w, channels, patch, patch), "x_embedder.proj.bias": (w,), "t_embedder.mlp.0.weight": (w, 256),
                "t_embedder.mlp.0.bias": (w,), "t_embedder.mlp.2.weight": (w, w), "t_embedder.mlp.2.bias": (w,),
                "y_embedder.embedding_table.weight": (classes + 1, w), "final_layer.adaLN_modulation.1.weight": (2 * w, w),
                "final_layer.adaLN_modulation.1.bias": (2 * w,), "final_layer.linear.weight": (out, w), "final_layer.linear.bias": (out,)}.items()
    for i in range(depth):
        for part, rows, columns in [("attn.qkv", 3 * w, w), ("attn.proj", w, w), ("mlp.fc1", 4 * w, w), ("mlp.fc2", w, 4 * w),
                                    ("adaLN_modulation.1", 6 * w, w)]:
            yield f"blocks.{i}.{part}.weight", (rows, columns)
            yield f"blocks.{i}.{part}.bias", (rows,)


def peer(width, depth, heads, patch, channels, size, classes, sigma):
    model = DiTTransformer2DModel(num_attention_heads=heads, attention_head_dim=width // heads, in_channels=channels,
                                  out_channels=channels * (2 if sigma else 1), num_layers=depth, sample_size=size, patch_size=patch,
                                  num_embeds_ada_norm=classes, norm_eps=1e-6).eval()
    for block in model.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    return model


def theirs(ours, depth):
    """diffusers' names for the field's. Differentiable, so that gradients arrive under the field's names."""
    out = {}
    for kind in ("weight", "bias"):
        out[f"pos_embed.proj.{kind}"] = ours[f"x_embedder.proj.{kind}"]
        out[f"proj_out_1.{kind}"] = ours[f"final_layer.adaLN_modulation.1.{kind}"]
        out[f"proj_out_2.{kind}"] = ours[f"final_layer.linear.{kind}"]
        for i in range(depth):
            a, b = f"transformer_blocks.{i}", f"blocks.{i}"
            for name, part in zip("qkv", ours[f"{b}.attn.qkv.{kind}"].chunk(3)):
                out[f"{a}.attn1.to_{name}.{kind}"] = part
            for there, here in [("attn1.to_out.0", f"{b}.attn.proj"), ("ff.net.0.proj", f"{b}.mlp.fc1"), ("ff.net.2", f"{b}.mlp.fc2"),
                                ("norm1.linear", f"{b}.adaLN_modulation.1"),
                                ("norm1.emb.timestep_embedder.linear_1", "t_embedder.mlp.0"),
                                ("norm1.emb.timestep_embedder.linear_2", "t_embedder.mlp.2")]:
                out[f"{a}.{there}.{kind}"] = ours[f"{here}.{kind}"]
            out[f"{a}.norm1.emb.class_embedder.embedding_table.weight"] = ours["y_embedder.embedding_table.weight"]
    return out


def caller(model, ours, depth, channels, scale):
    def forward(x, t, y):
        parameters = theirs(ours, depth)
        result = torch.func.functional_call(model, parameters, (x,), dict(timestep=t * scale, class_labels=y))
        return result.sample[:, :channels]
    return forward


if __name__ == "__main__":
    out = {}
    for name, patch, sigma, scale, size in [("dit", 2, False, 1000.0, 8), ("sit-sigma", 1, True, 1.0, 4), ("patch-4", 4, False, 1.0, 8)]:
        width, depth, heads, channels, classes = 32, 2, 2, 3, 6
        ours = {n: weight(n, s).requires_grad_() for n, s in shapes(width, depth, patch, channels, classes, sigma)}
        model = peer(width, depth, heads, patch, channels, size, classes, sigma)
        config = dict(image_size=[size, size], patch=patch, width=width, depth=depth, heads=heads, classes=classes, null_class=True,
                      learn_sigma=sigma, time=dict(scale=scale))
        # Class 6 is the null class.
        forward = caller(model, ours, depth, channels, scale)
        out[name] = {"config": config, **record(list(ours.items()), forward, (channels, size, size), classes + 1)}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
