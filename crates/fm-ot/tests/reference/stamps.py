"""Costs of plans between time stamps in microseconds, by POT -> stamps.json.

pip install POT scipy && python stamps.py
"""
import json
import pathlib

import numpy as np
import ot


def stamps(n, seed):
    i = np.arange(n)
    return (1.7e15 + ((i * 7919 + seed * 104_729) % 86_400) * 1e6)[:, None]


x, y = stamps(12, 1), stamps(12, 2)
cost = (x - y.T) ** 2
even = np.full(12, 1 / 12)
plan = ot.bregman.sinkhorn_log(even, even, cost, 0.05 * cost.mean(), numItermax=100_000, stopThr=1e-13)
found = {"sinkhorn": float((plan * cost).sum()), "emd": float(ot.emd2(even, even, cost))}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(found))
