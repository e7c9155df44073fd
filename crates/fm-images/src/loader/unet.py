"""The network of WEIGHTS for PyTorch. Written by cifar-train convert; needs: pip install torch torchcfm.

    from MODULE import load
    model = load()                       # weights from WEIGHTS beside this file
    v = model(x, t)                      # x: (B, C, H, W) in [-1, 1]; t: (B) from 0 (noise) to 1 (data)
    v = model(x, t, labels)              # labels: (B) int64; without them the null label, if there is one

SUMMARY
The weights alone, in torchcfm's UNetModel, take t times the scale of CONFIG["time"], and the labels of CONFIG.
"""
import json
import math
import pathlib

import torch
import torchcfm.models.unet.unet as unet

CONFIG = json.loads(r"""CONFIG_JSON""")


def embed(t, width):
    """The sinusoidal embedding of scaled times."""
    time, half = CONFIG["time"], width // 2
    divisor = half if time["divisor"] == "half" else max(half - 1, 1)
    angles = t[:, None].float() * torch.exp(-math.log(10000) * torch.arange(half, device=t.device) / divisor)
    halves = [angles.cos(), angles.sin()]
    return torch.cat(halves if time["order"] == "cos-sin" else halves[::-1], 1)


class Velocity(torch.nn.Module):
    def __init__(self):
        super().__init__()
        c = CONFIG
        rows = c["classes"] + c["null_class"]
        heads = dict(num_head_channels=c["head_channels"]) if c["head_channels"] else dict(num_heads=c["heads"], num_heads_upsample=c["heads_up"] or c["heads"])
        self.net = unet.UNetModel(
            image_size=c["image_size"][0], in_channels=c["image_channels"], model_channels=c["channels"],
            out_channels=c["image_channels"] * (2 if c["learn_sigma"] or c.get("score") else 1), num_res_blocks=c["res_blocks"],
            attention_resolutions=tuple(c["attention_at"]), dropout=c["dropout"], channel_mult=tuple(c["channel_mult"]),
            conv_resample=c["conv_resample"], num_classes=rows if c["classes"] else None, use_scale_shift_norm=c["scale_shift_norm"],
            resblock_updown=c["resblock_updown"], use_new_attention_order=c["new_attention_order"], **heads)
        nn = torch.nn
        activation = dict(gelu=nn.GELU, selu=nn.SELU, silu=nn.SiLU, tanh=nn.Tanh, relu=nn.ReLU, elu=nn.ELU, softplus=nn.Softplus)
        self.net.time_embed[1] = activation[c["time_activation"]]()
        if not c.get("middle_attention", True):
            self.net.middle_block = type(self.net.middle_block)(self.net.middle_block[0], self.net.middle_block[2])
        if c.get("out_kernel", 3) == 1:
            self.net.out[2] = torch.nn.Conv2d(self.net.out[2].in_channels, self.net.out[2].out_channels, 1)

    def forward(self, x, t, labels=None):
        t = torch.as_tensor(t, dtype=torch.float32, device=x.device).expand(len(x)) * CONFIG["time"]["scale"]
        t = t.round() if CONFIG["time"]["integer"] else t
        if labels is None and CONFIG["classes"]:
            if not CONFIG["null_class"]:
                raise ValueError("this network has classes and no null label: give labels")
            labels = torch.full((len(x),), CONFIG["classes"], device=x.device)
        unet.timestep_embedding = embed
        return self.net(t, x, labels)[:, :CONFIG["image_channels"] * (2 if CONFIG.get("score") else 1)]


def load(path=pathlib.Path(__file__).with_name("WEIGHTS")):
    model = Velocity()
    model.net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return model.eval()
