"""Writes embedding.json beside itself: time embeddings of diffusers and guided diffusion's order, and DiT's two-dimensional positions.

Needs: pip install torch diffusers.
"""
import json
import pathlib

import torch
from diffusers.models.embeddings import get_2d_sincos_pos_embed, get_timestep_embedding

t = torch.tensor([0.0, 0.1, 0.5, 0.999, 1.0])
out = {"t": t.tolist(), "width": 12, "embeddings": []}
for order, flip in [("sin-cos", False), ("cos-sin", True)]:
    for divisor, shift in [("half", 0), ("half-minus-one", 1)]:
        for scale in (1.0, 1000.0):
            e = get_timestep_embedding(t, 12, flip_sin_to_cos=flip, downscale_freq_shift=shift, scale=scale)
            out["embeddings"].append({"config": dict(order=order, divisor=divisor, scale=scale), "values": e.flatten().tolist()})
positions = get_2d_sincos_pos_embed(16, 4, base_size=4, output_type="pt", device="cpu")
out["positions"] = positions.flatten().tolist()
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
