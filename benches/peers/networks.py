"""The peers' networks by the names of the benches: torchcfm's U-Net and diffusers' DiT, for images of 3 x 32 x 32.

`build(name, classes, weights)` returns a module and call(module, x, t, y) -> velocity. Weights are ours by the names that we interchange (torchcfm's own for the
U-Net), read strictly; without them a network starts as its library starts it.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "crates/fm-models/tests/reference"))

UNETS = {
    "tiny": dict(num_channels=32, num_res_blocks=1, channel_mult=[1, 2, 2], num_head_channels=32, attention_resolutions="8"),
    "unet-2m": dict(num_channels=32, num_res_blocks=2, channel_mult=[1, 2, 2, 2], num_head_channels=32, attention_resolutions="8"),
    "unet-35m": dict(num_channels=128, num_res_blocks=2, channel_mult=[1, 2, 2, 2], num_head_channels=64, attention_resolutions="16"),
}


def dit(weights):
    import dit as reference
    width, depth, heads, patch, channels, size, classes = 384, 6, 6, 2, 3, 32, 10
    model = reference.peer(width, depth, heads, patch, channels, size, classes, False)
    if weights:
        model.load_state_dict(reference.theirs(weights, depth), strict=True)
    return model, lambda m, x, t, y: m(x, timestep=t * 1000, class_labels=y).sample


def build(name, classes=0, weights=None):
    if name == "dit":
        return dit(weights)
    from torchcfm.models.unet.unet import UNetModelWrapper
    conditional = dict(num_classes=classes, class_cond=True) if classes else {}
    model = UNetModelWrapper(dim=(3, 32, 32), dropout=0.0, **UNETS[name], **conditional)
    if weights:
        model.load_state_dict(weights, strict=True)
    return model, (lambda m, x, t, y: m(t, x, y)) if classes else (lambda m, x, t, y: m(t, x))
