"""Writes unet.json beside itself: torchcfm's U-Net in its variants, narrow, with weights that both languages compute.

Needs: pip install torch torchcfm diffusers.
"""
import json
import pathlib

import torch
import torchcfm.models.unet.unet
from diffusers.models.embeddings import get_timestep_embedding
from torchcfm.models.unet.unet import UNetModel, UNetModelWrapper

from common import record, weight


def narrow(dim=(3, 8, 8), channel_mult=(1, 2), attention="4", **more):
    return UNetModelWrapper(dim=dim, num_channels=32, num_res_blocks=1, channel_mult=channel_mult, attention_resolutions=attention, **more)


def plain_resampling():
    return UNetModel(image_size=8, in_channels=1, model_channels=32, out_channels=1, num_res_blocks=1, attention_resolutions=(2,),
                     channel_mult=(1, 2), conv_resample=False)


def guide():
    """The training guide's time embedding: [sin, cos] with half - 1 of 1000 t, and a GELU between its layers."""
    model = narrow(use_scale_shift_norm=True, num_head_channels=32)
    model.time_embed[1] = torch.nn.GELU()

    def forward(t, x, y):
        torchcfm.models.unet.unet.timestep_embedding = lambda t, width: get_timestep_embedding(t, width, False, 1, 1000)
        out = UNetModelWrapper.forward(model, t, x, y)
        torchcfm.models.unet.unet.timestep_embedding = ORIGINAL
        return out
    return model, forward


ORIGINAL = torchcfm.models.unet.unet.timestep_embedding
SMALL = dict(image_size=[8, 8], channels=32, channel_mult=[1, 2], res_blocks=1, attention_at=[2])
CASES = {
    "plain": (narrow(num_head_channels=16, dropout=0.1), dict(SMALL, head_channels=16)),
    "classes": (narrow(dim=(1, 8, 8), channel_mult=(1, 1, 2), attention="8,2", num_head_channels=32, num_classes=5, class_cond=True),
                dict(SMALL, image_channels=1, channel_mult=[1, 1, 2], attention_at=[1, 4], head_channels=32, classes=5)),
    "scale-shift": (narrow(use_scale_shift_norm=True, num_heads=2), dict(SMALL, scale_shift_norm=True, head_channels=0, heads=2)),
    "resblock-updown": (narrow(resblock_updown=True, num_heads=1), dict(SMALL, resblock_updown=True, head_channels=0, heads=1)),
    "new-attention-order": (narrow(use_new_attention_order=True, num_heads=4, attention="8,4"),
                            dict(SMALL, new_attention_order=True, head_channels=0, heads=4, attention_at=[1, 2])),
    "heads-upsample": (narrow(num_heads=1, num_heads_upsample=4), dict(SMALL, head_channels=0, heads=1, heads_up=4)),
    "plain-resampling": (plain_resampling(), dict(SMALL, image_channels=1, conv_resample=False, head_channels=0, heads=1)),
    "learn-sigma": (narrow(learn_sigma=True, num_head_channels=32), dict(SMALL, learn_sigma=True, head_channels=32)),
    "guide": (guide(), dict(SMALL, scale_shift_norm=True, head_channels=32, time_activation="gelu",
                            time=dict(scale=1000.0, order="sin-cos", divisor="half-minus-one"))),
    "everything": (narrow(use_scale_shift_norm=True, resblock_updown=True, use_new_attention_order=True, num_head_channels=8, num_classes=4,
                          class_cond=True, channel_mult=(1, 1), attention="8,4"),
                   dict(SMALL, channel_mult=[1, 1], scale_shift_norm=True, resblock_updown=True, new_attention_order=True, head_channels=8,
                        classes=4, attention_at=[1, 2])),
}
out = {}
for name, (model, config) in CASES.items():
    model, call = model if isinstance(model, tuple) else (model, model)
    model.eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            p.copy_(weight(key, tuple(p.shape)))
    channels = config.get("image_channels", 3)
    forward = (lambda x, t, y: call(t, x, y)[:, :channels])
    out[name] = {"config": config, **record(list(model.named_parameters()), forward, (channels, 8, 8), config.get("classes", 0))}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
