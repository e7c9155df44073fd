"""What torch.distributed over Gloo makes of some numbers, in two precisions, for 2 and 3 processes.

    python all_reduce.py > all_reduce.json        (torch 2.11.0)
"""

import json
import os
import tempfile

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

LENGTH = 40


def values(rank):
    generator = torch.Generator().manual_seed(rank)
    return torch.randn(LENGTH, generator=generator) * 10 ** torch.linspace(-3, 3, LENGTH)


def member(rank, size, port, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("gloo", rank=rank, world_size=size)
    results = {}
    for name, kind in [("f32", torch.float32), ("bf16", torch.bfloat16)]:
        for operation, op in [("sum", dist.ReduceOp.SUM), ("max", dist.ReduceOp.MAX)]:
            x = values(rank).to(kind)
            dist.all_reduce(x, op=op)
            results[f"{name} {operation}"] = x.float().tolist()
    if rank == 0:
        with open(f"{folder}/{size}.json", "w") as file:
            json.dump(results, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    found = {"values": [values(rank).tolist() for rank in range(3)]}
    with tempfile.TemporaryDirectory() as folder:
        for size in (2, 3):
            mp.spawn(member, args=(size, 29650 + size, folder), nprocs=size)
            with open(f"{folder}/{size}.json") as file:
                found[str(size)] = json.load(file)
    print(json.dumps(found))
