"""Learning rates of diffusers' and transformers' schedules: `python3 schedules.py > schedules.json`. Needs torch, diffusers, transformers.

Warm-up of 10 steps and 60 in all, peak 1. Theirs begin the warm-up at rate 0, so step n of ours in it is step n + 1 of theirs.
"""
import json

import torch
from diffusers.optimization import get_scheduler
from transformers.optimization import get_inverse_sqrt_schedule

WARM, TOTAL = 10, 60


def rates(make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer)
    seen = []
    for _ in range(TOTAL + 1):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen[1:WARM + 1] + seen[WARM:TOTAL]


def named(name):
    return rates(lambda o: get_scheduler(name, o, num_warmup_steps=WARM, num_training_steps=TOTAL))


print(json.dumps({
    "constant": named("constant_with_warmup"),
    "cosine": named("cosine"),
    "linear": named("linear"),
    "inverse-sqrt": rates(lambda o: get_inverse_sqrt_schedule(o, num_warmup_steps=WARM)),
}))
