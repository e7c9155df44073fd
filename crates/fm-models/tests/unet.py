"""Writes unet.json beside itself: outputs of torchcfm's UNetModelWrapper with weights that both languages can compute.

Every parameter is filled with a sine of its index and its name's length, zero-initialised ones too. Needs: pip install torch torchcfm.
"""
import json
import pathlib
import torch
from torchcfm.models.unet.unet import UNetModelWrapper


def fill(name, shape):
    n = torch.Size(shape).numel()
    index = torch.arange(n, dtype=torch.float64)
    fan_in = torch.Size(shape[1:]).numel() if len(shape) > 1 else 16
    base = 1.0 if name.endswith("weight") and len(shape) == 1 else 0.0
    return (base + torch.sin(index * 0.7 + len(name)) * (0.8 / fan_in) ** 0.5).float().reshape(shape)


cases = []
for name, kwargs, config in [
    ("plain", dict(dim=(3, 8, 8), num_channels=32, num_res_blocks=1, channel_mult=(1, 2), attention_resolutions="4", num_head_channels=16, dropout=0.1),
     dict(image_channels=3, image_size=8, channels=32, res_blocks=1, channel_mult=[1, 2], attention_at=[2], head_channels=16, classes=0)),
    ("classes", dict(dim=(1, 8, 8), num_channels=32, num_res_blocks=2, channel_mult=(1, 1, 2), attention_resolutions="8,2", num_head_channels=32, num_classes=5, class_cond=True),
     dict(image_channels=1, image_size=8, channels=32, res_blocks=2, channel_mult=[1, 1, 2], attention_at=[1, 4], head_channels=32, classes=5)),
]:
    model = UNetModelWrapper(**kwargs).eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(fill(key, tuple(p.shape)))
    c, h, w = kwargs["dim"]
    x = torch.sin(torch.arange(2 * c * h * w, dtype=torch.float64) * 0.3).float().reshape(2, c, h, w)
    t = torch.tensor([0.15, 0.8])
    y = torch.tensor([1, 4]) if config["classes"] else None
    out = model(t, x, y)
    loss = (out * torch.cos(torch.arange(out.numel(), dtype=torch.float64) * 0.11).float().reshape(out.shape)).sum()
    loss.backward()
    cases.append({"name": name, "config": config, "parameters": {k: list(p.shape) for k, p in model.named_parameters()},
                  "output": out.flatten().tolist(),
                  "gradient_norms": {k: p.grad.double().norm().item() for k, p in model.named_parameters()}})
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
