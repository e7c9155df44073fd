"""Writes dit.json beside itself: outputs of diffusers' DiTTransformer2DModel with weights that both languages can compute.

diffusers names and splits the parameters differently (and gives each block its own time and class embedding), so ours are
computed under our names and copied over. Its time frequencies divide by half - 1; they are set to the original's half.
Needs: pip install torch diffusers.
"""
import json
import pathlib
import torch
from diffusers import DiTTransformer2DModel

WIDTH, DEPTH, HEADS, PATCH, CHANNELS, SIZE, CLASSES, SCALE = 32, 2, 2, 2, 3, 8, 6, 1000.0


def fill(name, shape):
    n = torch.Size(shape).numel()
    fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 16
    base = 1.0 if name.endswith("weight") and len(shape) == 1 else 0.0
    index = torch.arange(n, dtype=torch.float64)
    return (base + torch.sin(index * 0.7 + len(name)) * (0.8 / fan_in) ** 0.5).float().reshape(shape)


W, P = WIDTH, PATCH * PATCH * CHANNELS
shapes = {"x_embedder.proj.weight": (W, CHANNELS, PATCH, PATCH), "x_embedder.proj.bias": (W,),
          "t_embedder.mlp.0.weight": (W, 256), "t_embedder.mlp.0.bias": (W,),
          "t_embedder.mlp.2.weight": (W, W), "t_embedder.mlp.2.bias": (W,),
          "y_embedder.embedding_table.weight": (CLASSES + 1, W),
          "final_layer.adaLN_modulation.1.weight": (2 * W, W), "final_layer.adaLN_modulation.1.bias": (2 * W,),
          "final_layer.linear.weight": (P, W), "final_layer.linear.bias": (P,)}
for i in range(DEPTH):
    for part, out, into in [("attn.qkv", 3 * W, W), ("attn.proj", W, W), ("mlp.fc1", 4 * W, W), ("mlp.fc2", W, 4 * W),
                            ("adaLN_modulation.1", 6 * W, W)]:
        shapes[f"blocks.{i}.{part}.weight"] = (out, into)
        shapes[f"blocks.{i}.{part}.bias"] = (out,)
ours = {name: fill(name, shape) for name, shape in shapes.items()}

model = DiTTransformer2DModel(num_attention_heads=HEADS, attention_head_dim=W // HEADS, in_channels=CHANNELS, out_channels=CHANNELS,
                              num_layers=DEPTH, sample_size=SIZE, patch_size=PATCH, num_embeds_ada_norm=CLASSES, norm_eps=1e-6).eval()
theirs = {}
for kind in ("weight", "bias"):
    theirs[f"pos_embed.proj.{kind}"] = ours[f"x_embedder.proj.{kind}"]
    theirs[f"proj_out_1.{kind}"] = ours[f"final_layer.adaLN_modulation.1.{kind}"]
    theirs[f"proj_out_2.{kind}"] = ours[f"final_layer.linear.{kind}"]
    for i in range(DEPTH):
        a, b = f"transformer_blocks.{i}", f"blocks.{i}"
        for name, part in zip("qkv", ours[f"{b}.attn.qkv.{kind}"].chunk(3)):
            theirs[f"{a}.attn1.to_{name}.{kind}"] = part
        for there, here in [("attn1.to_out.0", f"{b}.attn.proj"), ("ff.net.0.proj", f"{b}.mlp.fc1"), ("ff.net.2", f"{b}.mlp.fc2"),
                            ("norm1.linear", f"{b}.adaLN_modulation.1"),
                            ("norm1.emb.timestep_embedder.linear_1", "t_embedder.mlp.0"),
                            ("norm1.emb.timestep_embedder.linear_2", "t_embedder.mlp.2")]:
            theirs[f"{a}.{there}.{kind}"] = ours[f"{here}.{kind}"]
        theirs[f"{a}.norm1.emb.class_embedder.embedding_table.weight"] = ours["y_embedder.embedding_table.weight"]
missing, surplus = model.load_state_dict(theirs, strict=False)
assert not surplus and set(missing) <= {"pos_embed.pos_embed"}, (missing, surplus)
for block in model.transformer_blocks:
    block.norm1.emb.time_proj.downscale_freq_shift = 0

x = torch.sin(torch.arange(2 * CHANNELS * SIZE * SIZE, dtype=torch.float64) * 0.3).float().reshape(2, CHANNELS, SIZE, SIZE)
t = torch.tensor([0.15, 0.8])
with torch.no_grad():
    out = model(x, timestep=t * SCALE, class_labels=torch.tensor([1, CLASSES])).sample
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(
    {"parameters": {k: list(v) for k, v in shapes.items()}, "output": out.flatten().tolist()}) + "\n")
