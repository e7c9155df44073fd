"""The peers' side of the comparison of training steps. One request a line, one line of JSON as the answer.

`load FOLDER NAME` takes a network (`mlp`, `concat-squash`), its batch size and its data, FOLDER/NAME.npy; `eager STEPS`, `jax STEPS` and `scan STEPS` train so
many steps, data and draws included, and answer {"seconds": per step, "value": mean loss of them}. A step is what a plain training loop does:
draw rows, noise and times, x_t = t x1 + (1 - t) x0, mean squared error against x1 - x0, gradients, AdamW. No clipping, no moving average and
no log, all of which ours does. `eager` is PyTorch's loop; `jax` calls one jitted step at a time; `scan` runs all steps inside one jitted
`lax.scan`, which a loop that must look at anything between steps cannot do.
"""
import json
import os
import sys
import time

import numpy as np

device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
threads = int(os.environ["OMP_NUM_THREADS"])
os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'} intra_op_parallelism_threads={threads}"
import torch

if device == "cpu":
    import jax
    import jax.numpy as jnp
    import optax

torch.set_num_threads(threads)
RATE = 1e-3
BATCH = {"mlp": 2048, "concat-squash": 1000}
HIDDEN = [64, 64, 64]


class ConcatSquash(torch.nn.Module):
    def __init__(self, dim):
        super().__init__()
        widths = [dim, *HIDDEN, dim]
        pairs = list(zip(widths, widths[1:]))
        self.lin1 = torch.nn.ModuleList(torch.nn.Linear(a, b) for a, b in pairs)
        self.lin2 = torch.nn.ModuleList(torch.nn.Linear(1, b) for _, b in pairs)
        self.lin3 = torch.nn.ModuleList(torch.nn.Linear(1, b, bias=False) for _, b in pairs)

    def forward(self, x, t):
        for k, (lin1, lin2, lin3) in enumerate(zip(self.lin1, self.lin2, self.lin3)):
            x = torch.tanh(x) if k else x
            x = lin1(x) * torch.sigmoid(lin2(t)) + lin3(t)
        return x


def mlp(dim):
    widths = [dim + 1, *HIDDEN]
    layers = [m for a, b in zip(widths, widths[1:]) for m in (torch.nn.Linear(a, b), torch.nn.GELU())]
    return torch.nn.Sequential(*layers, torch.nn.Linear(HIDDEN[-1], dim))


class Eager:
    def __init__(self, name, data):
        self.data, self.batch = torch.from_numpy(data).to(device), BATCH[name]
        network = mlp(data.shape[1]) if name == "mlp" else ConcatSquash(data.shape[1])
        network.to(device)
        self.parameters = list(network.parameters())
        self.call = (lambda x, t: network(torch.cat([x, t], 1))) if name == "mlp" else network
        self.optimizer = torch.optim.AdamW(self.parameters, lr=RATE, weight_decay=0.0)

    def run(self, steps):
        total = torch.zeros((), device=device)
        for _ in range(steps):
            x1 = self.data[torch.randint(0, len(self.data), (self.batch,), device=device)]
            x0, t = torch.randn_like(x1), torch.rand(self.batch, 1, device=device)
            loss = (self.call(t * x1 + (1 - t) * x0, t) - (x1 - x0)).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return total.item() / steps


def linear(key, fan_in, out, bias=True):
    a, b = jax.random.split(key)
    bound = fan_in**-0.5
    weight = jax.random.uniform(a, (fan_in, out), minval=-bound, maxval=bound)
    return (weight, jax.random.uniform(b, (out,), minval=-bound, maxval=bound)) if bias else (weight,)


def jax_mlp(layers, x, t):
    h = jnp.concatenate([x, t], 1)
    for k, (w, b) in enumerate(layers):
        h = jax.nn.gelu(h, approximate=False) if k else h
        h = h @ w + b
    return h


def jax_concat_squash(layers, x, t):
    for k, ((w1, b1), (w2, b2), (w3,)) in enumerate(layers):
        x = jnp.tanh(x) if k else x
        x = (x @ w1 + b1) * jax.nn.sigmoid(t @ w2 + b2) + t @ w3
    return x


class Jax:
    def __init__(self, name, data):
        data, batch, dim = jnp.asarray(data), BATCH[name], data.shape[1]
        keys = jax.random.split(jax.random.key(0), 12)
        if name == "mlp":
            widths = [dim + 1, *HIDDEN, dim]
            layers, call = [linear(k, a, b) for k, a, b in zip(keys, widths, widths[1:])], jax_mlp
        else:
            widths, call = [dim, *HIDDEN, dim], jax_concat_squash
            pairs = list(zip(widths, widths[1:]))
            layers = [(linear(keys[3 * i], a, b), linear(keys[3 * i + 1], 1, b), linear(keys[3 * i + 2], 1, b, False))
                      for i, (a, b) in enumerate(pairs)]
        optimizer = optax.adamw(RATE, weight_decay=0.0)

        def step(state, _):
            layers, moments, key = state
            key, a, b, c = jax.random.split(key, 4)
            x1 = data[jax.random.randint(a, (batch,), 0, len(data))]
            x0, t = jax.random.normal(b, x1.shape), jax.random.uniform(c, (batch, 1))
            loss, gradient = jax.value_and_grad(lambda p: jnp.mean((call(p, t * x1 + (1 - t) * x0, t) - (x1 - x0)) ** 2))(layers)
            updates, moments = optimizer.update(gradient, moments, layers)
            return (optax.apply_updates(layers, updates), moments, key), loss

        self.state = (layers, optimizer.init(layers), jax.random.key(1))
        self.step = jax.jit(step, donate_argnums=0)
        self.scanned = jax.jit(lambda state, n: jax.lax.scan(step, state, None, length=n), static_argnums=1, donate_argnums=0)

    def run(self, steps):
        losses = []
        for _ in range(steps):
            self.state, loss = self.step(self.state, None)
            losses.append(loss)
        return float(jnp.mean(jnp.stack(losses)))

    def scan(self, steps):
        self.state, losses = self.scanned(self.state, steps)
        return float(jnp.mean(losses))


work = {}
for line in sys.stdin:
    match line.split():
        case ["load", folder, name]:
            data = np.load(f"{folder}/{name}.npy").astype(np.float32)
            work, answer = {"eager": Eager(name, data).run}, {}
            if device == "cpu":
                peers = Jax(name, data)
                work |= {"jax": peers.run, "scan": peers.scan}
        case ["versions"]:
            answer = {"PyTorch": torch.__version__}
            if device == "cpu":
                answer |= {"jax": jax.__version__, "optax": optax.__version__}
        case [how, steps]:
            started = time.perf_counter()
            value = work[how](int(steps))
            answer = {"seconds": (time.perf_counter() - started) / int(steps), "value": value}
    print(json.dumps(answer), flush=True)
