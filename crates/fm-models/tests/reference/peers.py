"""Full-size networks of torchcfm and diffusers, freshly and randomly initialised here; called by tests/peers.rs.

    peers.py make DIR     writes, for each network, NAME.pt (nested: net_model, ema_model, with a module. prefix) or NAME.safetensors, and
                          NAME.npz with inputs, outputs, and gradients of a scalar loss
    peers.py check DIR    loads NAME.back.safetensors or NAME.back.pt strictly and compares the outputs with those of NAME.npz

Needs: pip install torch torchcfm diffusers safetensors.
"""
import pathlib
import sys

import numpy
import torch
from safetensors.torch import load_file, save_file
from torchcfm.models.unet.unet import UNetModelWrapper

import dit

CIFAR = dict(dim=(3, 32, 32), num_channels=128, num_res_blocks=2, channel_mult=[1, 2, 2, 2], num_heads=4, num_head_channels=64,
             attention_resolutions="16", dropout=0.1)
UNETS = {
    "cifar10": CIFAR,
    "mnist": dict(dim=(1, 28, 28), num_channels=32, num_res_blocks=1),
    "cifar10-classes": dict(CIFAR, num_classes=10, class_cond=True),
    "scale-shift": dict(CIFAR, num_channels=64, use_scale_shift_norm=True),
    "resblock-updown": dict(CIFAR, num_channels=64, resblock_updown=True),
    "new-attention-order": dict(CIFAR, num_channels=64, use_new_attention_order=True),
    "several-attentions": dict(CIFAR, num_channels=64, attention_resolutions="16,8"),
}
# width, depth, heads, patch, channels, image size, classes, learned variance, scale of time
DITS = {"dit-s2": (384, 12, 6, 2, 3, 32, 10, False, 1000.0), "sit-s2": (384, 12, 6, 2, 4, 32, 1000, True, 1.0),
        "dit-b4": (768, 12, 12, 4, 3, 32, 10, False, 1000.0)}
TIMES = [[0.3], [0.0, 0.55, 1.0]]


def randomise(parameters):
    """Also what starts at zero, at the scale of PyTorch's own initialisation."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, p in parameters:
            fan_in = p[0].numel() if p.dim() > 1 else 64
            p.copy_(torch.randn(p.shape) * 0.7 / fan_in**0.5 + (1.0 if p.dim() == 1 and name.endswith("weight") else 0.0))


def answers(forward, parameters, shape, classes):
    out = {}
    torch.manual_seed(1)
    for i, times in enumerate(TIMES):
        x, t = torch.randn(len(times), *shape), torch.tensor(times)
        y = torch.randint(classes, (len(times),)) if classes else None
        v = forward(x, t, y)
        out.update({f"x{i}": x.numpy(), f"t{i}": t.numpy(), f"v{i}": v.detach().numpy()})
        if classes:
            out[f"y{i}"] = y.numpy()
    w = torch.randn(v.shape)
    (v * w).sum().backward()
    return out | {"w": w.numpy()} | {f"g.{n}": p.grad.numpy() for n, p in parameters}


def unet(name):
    options = UNETS[name]
    model = UNetModelWrapper(**options).eval()
    return model, options["dim"], options.get("num_classes", 0)


def main(what, folder):
    folder = pathlib.Path(folder)
    worst = {}
    for name in UNETS:
        model, shape, classes = unet(name)
        forward = lambda x, t, y: model(t, x, y)
        if what == "make":
            randomise(model.named_parameters())
            numpy.savez(folder / f"{name}.npz", **answers(forward, list(model.named_parameters()), shape, classes))
            average = {f"module.{k}": v for k, v in model.state_dict().items()}
            other = {k: torch.zeros_like(v) for k, v in average.items()}
            torch.save({"net_model": other, "ema_model": average, "step": 7, "sched": {"last_epoch": 7}}, folder / f"{name}.pt")
            continue
        model.load_state_dict(torch.load(folder / f"{name}.back.pt", weights_only=True), strict=True)
        worst[name] = compare(forward, folder, name, classes)
    for name, (width, depth, heads, patch, channels, size, classes, sigma, scale) in DITS.items():
        ours = {n: torch.zeros(s) for n, s in dit.shapes(width, depth, patch, channels, classes, sigma)}
        model = dit.peer(width, depth, heads, patch, channels, size, classes, sigma)
        if what == "make":
            randomise(ours.items())
            ours = {n: p.requires_grad_() for n, p in ours.items()}
            forward = dit.caller(model, ours, depth, channels, scale)
            numpy.savez(folder / f"{name}.npz", **answers(forward, list(ours.items()), (channels, size, size), classes + 1))
            position = model.pos_embed.pos_embed.reshape(1, -1, width).contiguous()
            save_file({n: p.detach() for n, p in ours.items()} | {"pos_embed": position}, folder / f"{name}.safetensors")
            continue
        back = load_file(folder / f"{name}.back.safetensors")
        position = back.pop("pos_embed")
        assert torch.allclose(position, model.pos_embed.pos_embed.reshape(position.shape), atol=1e-6)
        assert set(back) == set(ours), set(back) ^ set(ours)
        model.load_state_dict(dit.theirs(back, depth), strict=True)
        forward = dit.caller(model, back, depth, channels, scale)
        worst[name] = compare(forward, folder, name, classes)
    for name, off in worst.items():
        print(f"{name}: {off:.2e}")
        assert off <= 1e-5, name


def compare(forward, folder, name, classes):
    known = numpy.load(folder / f"{name}.npz")
    off = 0.0
    with torch.no_grad():
        for i in range(len(TIMES)):
            y = torch.from_numpy(known[f"y{i}"]) if classes else None
            v, want = forward(torch.from_numpy(known[f"x{i}"]), torch.from_numpy(known[f"t{i}"]), y).numpy(), known[f"v{i}"]
            off = max(off, float(numpy.linalg.norm(v - want) / numpy.linalg.norm(want)))
    return off


if __name__ == "__main__":
    main(*sys.argv[1:])
