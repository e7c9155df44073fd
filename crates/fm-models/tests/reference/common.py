"""Weights and inputs that Python and Rust compute alike, and what is recorded of a network's answer.

A value is uniform on [-1, 1), from a counter: splitmix64 of the FNV-1a hash of a name plus an index.
"""
import numpy
import torch

GOLDEN = numpy.uint64(0x9E3779B97F4A7C15)


def uniform(name, n):
    key = 0xCBF29CE484222325
    for byte in name.encode():
        key = ((key ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(key) + (numpy.arange(n, dtype=numpy.uint64) + numpy.uint64(1)) * GOLDEN
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(11)).astype(numpy.float64) / 2.0**52 - 1.0


def tensor(name, shape, scale=1.0, base=0.0):
    values = base + uniform(name, int(numpy.prod(shape))) * scale
    return torch.from_numpy(values.astype(numpy.float32)).reshape(tuple(shape))


def weight(name, shape):
    """Every parameter, zero-initialised ones too: variance 0.8 / fan in, around 1 for the scales of normalisations."""
    fan_in = int(numpy.prod(shape[1:])) if len(shape) > 1 else 16
    base = 1.0 if name.endswith("weight") and len(shape) == 1 else 0.0
    return tensor(name, shape, (2.4 / fan_in) ** 0.5, base)


def record(parameters, forward, shape, classes, times=((0.0,), (0.15, 0.8, 1.0))):
    """Outputs at several times and batch sizes; of the gradients of a scalar loss of the last, norms and two projections each."""
    calls = []
    for batch in times:
        x = tensor(f"x{len(batch)}", (len(batch), *shape), 1.7)
        y = [(3 * i + 1) % classes for i in range(len(batch))] if classes else None
        out = forward(x, torch.tensor(batch), torch.tensor(y) if y else None)
        calls.append({"t": list(batch), "classes": y, "output": out.detach().flatten().tolist()})
    (out * tensor("loss", out.shape)).sum().backward()
    gradients = {}
    for name, p in parameters:
        g = p.grad.detach().double().flatten().numpy()
        dots = [float(g @ uniform(f"{name}#{i}", g.size)) for i in (1, 2)]
        gradients[name] = [float(numpy.sqrt(g @ g)), *dots]
    return {"shape": list(shape), "calls": calls, "parameters": {n: list(p.shape) for n, p in parameters}, "gradients": gradients}
