"""PyTorch's side of the pack that `cargo xtask gpu-pack` makes: the same networks with the same weights, in plain PyTorch.

`gpu_peers.py DIR DEVICE [--small]`: DIR has NAME.safetensors, NAME-batch.safetensors and NAME.json, which `gpu-check peers` wrote. First loss and
gradient must agree, then training steps are timed: eager f32, eager bf16 autocast (channels last), torch.compile of the latter. One line of JSON
per check. The U-Net is torchcfm's, from a wheel in wheels/ beside this script or as installed; the DiT is below.
"""
import glob
import json
import sys
import time
import types
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

folder, device, small = Path(sys.argv[1]), sys.argv[2], "--small" in sys.argv
on_gpu = device.startswith("cuda") and torch.cuda.is_available()
device = device if on_gpu else "cpu"
failed = False


def line(check, ok, **fields):
    global failed
    failed |= not ok
    print(json.dumps({"part": "peers", "check": check, "ok": ok} | fields), flush=True)


def read(path):
    """A safetensors file of f32 values."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    head, body = json.loads(data[8:8 + size]), bytearray(data[8 + size:])
    make = lambda t: torch.frombuffer(body, dtype=torch.float32, count=(t["data_offsets"][1] - t["data_offsets"][0]) // 4,
                                      offset=t["data_offsets"][0]).reshape(t["shape"]).clone()
    return {name: make(t) for name, t in head.items() if name != "__metadata__"}


def unet(config):
    wheels = glob.glob(str(Path(__file__).parent / "wheels/torchcfm-*.whl"))
    if wheels:
        # The package itself imports an optimal-transport library that the network does not need.
        sys.path.insert(0, wheels[0])
        package = types.ModuleType("torchcfm")
        package.__path__ = [wheels[0] + "/torchcfm"]
        sys.modules["torchcfm"] = package
    from torchcfm.models.unet.unet import UNetModelWrapper
    side = config["image_size"][0]
    model = UNetModelWrapper(
        dim=(config["image_channels"], *config["image_size"]), num_channels=config["channels"], num_res_blocks=config["res_blocks"],
        channel_mult=config["channel_mult"], num_head_channels=config["head_channels"], dropout=0.0,
        attention_resolutions=",".join(str(side // ds) for ds in config["attention_at"]))
    return model, lambda m, x, t, y: m(t, x)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.attn, self.mlp, self.heads = nn.Module(), nn.Module(), heads
        self.attn.qkv, self.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp.fc1, self.mlp.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        b1, s1, g1, b2, s2, g2 = self.adaLN_modulation(c).unsqueeze(1).chunk(6, 2)
        norm = lambda x: F.layer_norm(x, x.shape[-1:], eps=1e-6)
        batch, tokens, width = x.shape
        qkv = self.attn.qkv(norm(x) * (1 + s1) + b1).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        h = F.scaled_dot_product_attention(*qkv.unbind(0)).transpose(1, 2).reshape(batch, tokens, width)
        x = x + g1 * self.attn.proj(h)
        return x + g2 * self.mlp.fc2(F.gelu(self.mlp.fc1(norm(x) * (1 + s2) + b2), approximate="tanh"))


class DiT(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, patch, channels = config["width"], config["patch"], config["image_channels"]
        self.patch, self.channels, self.grid = patch, channels, [n // patch for n in config["image_size"]]
        self.x_embedder, self.t_embedder, self.y_embedder, self.final_layer = (nn.Module() for _ in range(4))
        self.x_embedder.proj = nn.Conv2d(channels, width, patch, patch)
        self.t_embedder.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.y_embedder.embedding_table = nn.Embedding(config["classes"] + 1, width)
        self.register_buffer("pos_embed", torch.zeros(1, self.grid[0] * self.grid[1], width))
        self.blocks = nn.ModuleList(Block(width, config["heads"]) for _ in range(config["depth"]))
        self.final_layer.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.final_layer.linear = nn.Linear(width, patch * patch * channels)

    def forward(self, x, t, y):
        frequencies = torch.exp(-9.210340371976184 * torch.arange(128, device=t.device) / 128)
        angles = 1000 * t[:, None] * frequencies
        c = self.t_embedder.mlp(torch.cat([angles.cos(), angles.sin()], 1)) + self.y_embedder.embedding_table(y)
        h = self.x_embedder.proj(x).flatten(2).transpose(1, 2) + self.pos_embed
        for block in self.blocks:
            h = block(h, c)
        shift, scale = self.final_layer.adaLN_modulation(c).unsqueeze(1).chunk(2, 2)
        h = self.final_layer.linear(F.layer_norm(h, h.shape[-1:], eps=1e-6) * (1 + scale) + shift)
        p, (rows, columns) = self.patch, self.grid
        return h.view(-1, rows, columns, p, p, self.channels).permute(0, 5, 1, 3, 2, 4).reshape(-1, self.channels, rows * p, columns * p)


def build(name):
    about = json.loads((folder / f"{name}.json").read_text())
    # The configuration of a network is tagged with its kind, inside or around.
    config = about["config"]
    config = next(iter(config.values())) if len(config) == 1 else config
    model, call = unet(config) if name == "unet" else (DiT(config), lambda m, x, t, y: m(x, t, y))
    weights = read(folder / f"{name}.safetensors")
    shapes = model.state_dict()
    model.load_state_dict({key: w.reshape(shapes[key].shape) if key == "pos_embed" else w for key, w in weights.items()}, strict=True)
    return model.to(device), call, about, config


def agreement(name, model, call, about):
    """Loss and gradient norm of the same batch."""
    x, w = (read(folder / f"{name}-batch.safetensors")[key].to(device) for key in ("x", "weights"))
    t = (torch.arange(len(x), device=device) + 0.5) / len(x)
    loss = (call(model, x, t, torch.arange(len(x), device=device) % 10) * w).sum()
    loss.backward()
    norm = sum(p.grad.double().square().sum().item() for p in model.parameters()) ** 0.5
    off = max(abs(loss.item() - about["loss"]) / abs(about["loss"]), abs(norm - about["gradient norm"]) / about["gradient norm"])
    line(f"{name}: loss and gradient norm are ours", off < 1e-3, value=off, bound=1e-3)


def synchronize():
    if on_gpu:
        torch.cuda.synchronize()


def steps_of(model, call, config, batch, autocast, steps):
    """Seconds of one training step: noise, interpolation, loss, gradients, clipping, AdamW."""
    shape = (batch, config["image_channels"], *config["image_size"])
    data = torch.rand(max(2048, batch), *shape[1:], device=device) * 2 - 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    layout = torch.channels_last if autocast else torch.contiguous_format

    def step():
        rows = torch.randint(0, len(data), (batch,), device=device)
        x1, x0, t = data[rows], torch.randn(shape, device=device), torch.rand(batch, device=device)
        x = torch.lerp(x0, x1, t.view(-1, 1, 1, 1)).to(memory_format=layout)
        with torch.autocast(device.split(":")[0], torch.bfloat16, enabled=autocast):
            v = call(model, x, t, rows % 10)
        loss = (v.float() - (x1 - x0)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    for _ in range(1 if small else 5):
        step()
    synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize()
    return (time.perf_counter() - started) / steps


def main():
    batches, steps = ([4], 2) if small else ([128, 256], 50)
    if on_gpu:
        torch.backends.cudnn.benchmark = True
    plan = [("eager bf16, channels last", True, False, batches), ("eager f32", False, False, batches[:1]),
            ("torch.compile bf16, channels last", True, True, batches[-1:])]
    line("versions", True, torch=torch.__version__, cuda=torch.version.cuda, device=torch.cuda.get_device_name() if on_gpu else "cpu")
    for name in ("unet", "dit"):
        try:
            # f32 as we compute it, without TF32.
            torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
            model, call, about, config = build(name)
            agreement(name, model, call, about)
        except Exception as error:
            line(f"{name}: loss and gradient norm are ours", False, error=f"{type(error).__name__}: {error}"[:300])
            continue
        for mode, autocast, compiled, sizes in plan:
            for batch in sizes:
                check = f"{name}: training, {mode}, batch {batch}"
                try:
                    model = model.to(memory_format=torch.channels_last if autocast else torch.contiguous_format)
                    if on_gpu:
                        torch.cuda.reset_peak_memory_stats()
                    run = torch.compile(model, dynamic=False) if compiled else model
                    seconds = steps_of(run, call, config, batch, autocast, steps if autocast or small else 20)
                    peak = torch.cuda.max_memory_allocated() >> 20 if on_gpu else None
                    line(check, True, **{"steps/s": 1 / seconds, "images/s": batch / seconds, "peak MiB": peak})
                except Exception as error:
                    line(check, False, error=f"{type(error).__name__}: {error}"[:300])
        del model
    return 1 if failed else 0


sys.exit(main())
