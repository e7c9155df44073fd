"""The loss of a velocity and a score network on a Brownian bridge, and its gradients, by torchcfm and autograd.

The batch (x0, x1, t, eps of the test's step) stands in sf2m.json under "inputs", where `UPDATE_INPUTS=1` of the test writes it; the
rest is written here. The loss is that of torchcfm's tutorial on score and flow matching: mean (v - u_t)^2 + mean (lambda(t) s + eps)^2,
with u_t and lambda of SchrodingerBridgeConditionalFlowMatcher, and s the output of the score network. Both networks are one SELU MLP
here, whose outputs are the velocity and then the score. Needs: pip install torch torchcfm.
"""
import json
from pathlib import Path

import torch
from torchcfm.conditional_flow_matching import SchrodingerBridgeConditionalFlowMatcher

SIGMA = 0.7
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
file = Path(__file__).with_suffix(".json")
inputs = json.loads(file.read_text())["inputs"]
t = torch.tensor(inputs["t"])
x0, x1, eps = (torch.tensor(inputs[key]).view(len(t), -1) for key in ("x0", "x1", "eps"))
dim = x0.shape[1]
net = torch.nn.Sequential(
    torch.nn.Linear(dim + 1, 16), torch.nn.SELU(), torch.nn.Linear(16, 8), torch.nn.SELU(), torch.nn.Linear(8, 2 * dim)
)
with torch.no_grad():
    for parameter in net.parameters():
        parameter.copy_(parameter.float().double())
matcher = SchrodingerBridgeConditionalFlowMatcher(sigma=SIGMA)
x_t = matcher.sample_xt(x0, x1, t, eps)
u_t = matcher.compute_conditional_flow(x0, x1, t, x_t)
v, s = net(torch.cat([x_t, t[:, None]], 1)).chunk(2, 1)
flow_loss = torch.mean((v - u_t) ** 2)
score_loss = torch.mean((matcher.compute_lambda(t)[:, None] * s + eps) ** 2)
(flow_loss + score_loss).backward()
flat = lambda x: x.detach().flatten().tolist()
file.write_text(json.dumps({
    "inputs": inputs,
    "weights": {f"net.{name}": {"shape": list(p.shape), "values": flat(p)} for name, p in net.named_parameters()},
    "flow_loss": flow_loss.item(),
    "score_loss": score_loss.item(),
    "gradients": {f"net.{name}": flat(p.grad) for name, p in net.named_parameters()},
}, indent=1))
