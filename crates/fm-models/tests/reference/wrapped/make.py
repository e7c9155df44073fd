"""Makes the files of this folder: small networks, saved in the ways that training programs save them.

    python make.py            (PyTorch, NumPy, diffusers and ema-pytorch)

Every file holds the network of `raw()`; averages are its values plus 100.
"""

import argparse, collections, datetime, enum, functools, pathlib, pickle, sys, types

import ema_pytorch
import numpy
import torch
from diffusers.training_utils import EMAModel
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 2), nn.SELU(), nn.Linear(2, 1))


def raw():
    net, first = Net(), 1
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.arange(first, first + p.numel()).view_as(p))
            first += p.numel()
    return net


def mean():
    net = raw()
    with torch.no_grad():
        for p in net.parameters():
            p += 100
    return net


def prefixed(prefix, state):
    return collections.OrderedDict((prefix + k, v) for k, v in state.items())


def old(value, name, **options):
    torch.save(value, name, _use_new_zipfile_serialization=False, **options)


class Mode(enum.Enum):
    FAST = 1


class Meta:
    def __init__(self):
        self.content = {"a": [1, 2.5, None]}
        self.itself = self


def foreign(module, name, base=Meta):
    """A class of a module that the reader does not have."""
    made = type(name, (base,), {"__module__": module})
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(".".join(parts[: i + 1])))
    setattr(sys.modules[module], name, made)
    return made


def views():
    """All tensors are views of one buffer; one is transposed, one takes every second value."""
    flat = torch.zeros(16)
    flat[:4] = torch.tensor([1.0, 3.0, 2.0, 4.0])
    flat[4:9] = torch.tensor([5.0, 0.0, 6.0, 7.0, 8.0])
    flat[9] = 9
    return {
        "net.0.weight": flat[:4].view(2, 2).t(),
        "net.0.bias": flat[4:8:2],
        "net.2.weight": flat[7:9].view(1, 2),
        "net.2.bias": flat[9:10],
    }


def objects():
    net = raw()
    optimizer = torch.optim.Adam(net.parameters())
    net.net(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10])
    path = foreign("pathlib._local", "PosixPath", pathlib.PosixPath)
    return {
        "schedule": schedule.state_dict(),
        "optimizer": optimizer.state_dict(),
        "partial": functools.partial(int, base=2),
        "paths": [pathlib.PosixPath("/a/b"), path("/a/b"), pathlib.PureWindowsPath("c:/d")],
        "numpy": [numpy.float64(2.5), numpy.int32(3), numpy.arange(4), numpy.random.default_rng(1)],
        "time": [datetime.datetime(2024, 1, 2), datetime.timedelta(3), datetime.timezone.utc],
        "enum": Mode.FAST,
        "args": argparse.Namespace(lr=1e-3, layers=[1, 2]),
        "config": foreign("omegaconf.dictconfig", "DictConfig")(),
        "dict": collections.defaultdict(list, {"a": [1]}),
        "torch": [torch.device("cpu"), torch.float16, torch.Size([1, 2])],
        "random": {"torch": torch.get_rng_state()[:16].clone(), "generator": numpy.random.RandomState(1).get_state()[0]},
        "complex": [1 + 2j, {1, 2}, frozenset([3]), range(4), slice(1, 2), bytearray(b"x"), b"y", 10**30, True],
        "model": raw().state_dict(),
    }


def lit(prefix, state):
    return {prefix + k.replace(".", ""): v for k, v in state.items()}


def others(state, averages):
    """Averages of ema-pytorch, lists without names, computed weights, and tensors that are not read."""
    ema = ema_pytorch.EMA(raw())
    ema.ema_model.load_state_dict(averages)
    torch.save({"model": state, "ema": ema.state_dict()}, "ema-pytorch.pt")
    torch.save({"decay": 0.5, "shadow_params": list(mean().parameters())}, "list.pt")
    torch.save(list(raw().named_parameters()), "named-list.pt")
    for name, change in [
        ("weight-norm.pt", lambda layer: torch.nn.utils.weight_norm(layer)),
        ("parametrized.pt", lambda layer: torch.nn.utils.parametrizations.weight_norm(layer)),
        ("pruned.pt", lambda layer: torch.nn.utils.prune.l1_unstructured(layer, "weight", 1)),
    ]:
        net = raw()
        change(net.net[0])
        torch.save(net.state_dict(), name)
    torch.save(state | {"net.0.lora_A.weight": torch.ones(1, 2), "net.0.lora_B.weight": torch.ones(2, 1)}, "adapter.pt")
    for name, change in [
        ("complex.pt", lambda w: w.to(torch.complex64)),
        ("quantized.pt", lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8)),
        ("csr.pt", lambda w: w.to_sparse_csr()),
        ("meta.pt", lambda w: w.to("meta")),
        ("float8.pt", lambda w: w.to(torch.float8_e4m3fn)),
        ("integers.pt", lambda w: w.to(torch.int8)),
    ]:
        torch.save(state | {"net.2.weight": change(state["net.2.weight"])}, name)


def main():
    torch.manual_seed(0)
    state, averages = raw().state_dict(), mean().state_dict()
    old(state, "old.pt")
    old(state, "old-protocol4.pt", pickle_protocol=4)
    old(state, "old-protocol1.pt", pickle_protocol=1)
    old(state, "old-protocol0.pt", pickle_protocol=0)
    torch.save(state, "protocol1.pt", pickle_protocol=1)
    torch.save(state, "protocol0.pt", pickle_protocol=0)
    old(views(), "old-views.pt")
    old({"model": raw().half().state_dict(), "epoch": 3}, "old-half.pt")
    old(raw(), "old-module.pt")
    torch.save(views(), "views.pt")

    average = AveragedModel(raw())
    average.update_parameters(mean())
    average.module.load_state_dict(averages)
    torch.save({"model": state, "ema": average.state_dict()}, "averaged-model.pt")
    torch.save({"net": state, "other": average.state_dict(), "step": torch.tensor(7)}, "averaged-by-counter.pt")
    lightning = {"epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.4.0", "loops": {"fit_loop": {}}}
    torch.save(lightning | {"state_dict": prefixed("net.", state)}, "lightning.pt")
    both = prefixed("model.", state) | prefixed("ema.module.", averages)
    torch.save(lightning | {"state_dict": both}, "lightning-ema.pt")
    torch.save(prefixed("_fsdp_wrapped_module.", {k.replace("net.", "net._fsdp_wrapped_module."): v for k, v in state.items()}), "fsdp.pt")
    torch.save({"module": prefixed("_orig_mod.module.", state), "epoch": 1}, "compiled.pt")

    shadow = EMAModel(mean().parameters(), decay=0.5).state_dict()
    torch.save({"model": state, "ema": shadow}, "shadow-diffusers.pt")
    listed = {"decay": 0.5, "num_updates": 3, "shadow_params": list(mean().parameters()), "collected_params": list(raw().parameters())}
    torch.save({"model": state, "ema": listed}, "shadow-torch-ema.pt")
    torch.save({"model": state, "ema": listed | {"shadow_params": listed["shadow_params"][:3]}}, "shadow-short.pt")
    torch.save({"state_dict": prefixed("model.", state) | lit("model_ema.", averages) | {"model_ema.decay": torch.tensor(0.9), "model_ema.num_updates": torch.tensor(5, dtype=torch.int)}}, "lit-ema.pt")

    torch.save({"teacher": state, "student": averages}, "two.pt")
    torch.save({"a": state, "b": state}, "same.pt")
    torch.save({"ema_fast": averages, "ema_slow": state, "model": state}, "two-averages.pt")

    torch.save(objects(), "objects.pt")
    old(objects(), "old-objects.pt")
    broken = dict(state)
    broken["net.2.weight"] = functools.partial(int)
    torch.save(broken, "object-inside.pt")
    broken["net.2.weight"] = state["net.2.weight"].to_sparse()
    torch.save(broken, "sparse-inside.pt")
    torch.save({"model": state, "mask": state["net.0.weight"].to_sparse()}, "sparse-beside.pt")

    kinds = [torch.float16, torch.bfloat16, torch.float64, torch.float32]
    mixed = {k: v.to(kind) for (k, v), kind in zip(state.items(), kinds)}
    torch.save(mixed | {"num_batches_tracked": torch.tensor(3), "position_ids": torch.arange(5)}, "mixed.pt")
    marked = {k: nn.Parameter(v) for k, v in state.items()}
    for parameter in marked.values():
        parameter.tag = "x"
    torch.save(marked, "tagged.pt")

    others(state, averages)

    arrays = {k: v.numpy() for k, v in state.items()}
    pickle.dump(arrays, open("numpy.pkl", "wb"))
    pickle.dump(state, open("dumped.pkl", "wb"))
    numpy.savez("arrays.npz", **arrays)


if __name__ == "__main__":
    main()
