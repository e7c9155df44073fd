"""Features of a ResNet-20 with its published weights, and of pytorch-fid's Inception-v3 with computed ones.

    pip install pytorch-fid==0.3.0 torchvision safetensors      (with torch)
    python features.py > features.json
"""
import json
import pathlib

import pytorch_fid.inception as fid
import torch
import torch.nn.functional as F
from common import tensor, uniform, weight
from safetensors.torch import load_file
from torch import nn

torch.set_grad_enabled(False)


def value(name, shape):
    """Variances are above 0, and images stay apart through a hundred layers."""
    if name.endswith("running_var"):
        return tensor(name, shape, 0.5, 1.0)
    if len(shape) == 4:
        return tensor(name, shape, (6.0 / (shape[1] * shape[2] * shape[3])) ** 0.5)
    return weight(name, shape)


def images(n, side):
    count = n * 3 * side * side
    return torch.from_numpy((uniform(f"images{side}", count) + 1.0) * 128.0).floor().to(torch.uint8).reshape(n, 3, side, side)


def resnet20(x, w):
    """He et al. (2016), section 4.2, option A, in functions."""
    bn = lambda x, p: F.batch_norm(x, w[f"{p}.running_mean"], w[f"{p}.running_var"], w[f"{p}.weight"], w[f"{p}.bias"], eps=1e-5)
    x = F.relu(bn(F.conv2d(x, w["conv1.weight"], padding=1), "bn1"))
    for stage in (1, 2, 3):
        for block in range(3):
            p = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            inner = F.relu(bn(F.conv2d(x, w[f"{p}.conv1.weight"], stride=stride, padding=1), f"{p}.bn1"))
            inner = bn(F.conv2d(inner, w[f"{p}.conv2.weight"], padding=1), f"{p}.bn2")
            if stride == 2:
                quarter = inner.shape[1] // 4
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, quarter, quarter))
            x = F.relu(inner + x)
    features = F.avg_pool2d(x, 8).flatten(1)
    return features, F.linear(features, w["linear.weight"], w["linear.bias"])


weights = load_file(pathlib.Path(__file__).parent / "../../assets/resnet20-12fca82f.safetensors")
normal = lambda x: (x / 255 - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
features, logits = resnet20(normal(images(3, 32).float()), weights)

fid.load_state_dict_from_url = lambda url, progress: made
fid_state = lambda network: {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
# Its constructor wants weights: the shapes first, then computed values.
loader = nn.Module.load_state_dict
nn.Module.load_state_dict, made = (lambda self, state: None), None
shapes = {k: list(v.shape) for k, v in fid_state(fid.fid_inception_v3()).items()}
nn.Module.load_state_dict = lambda self, state: loader(self, state, strict=False)
made = {k: value(k, s) for k, s in shapes.items()}
network = fid.InceptionV3([3]).eval()
pooled = network(images(2, 32).float() / 255)[0].flatten(1)
unbiased = pooled @ made["fc.weight"].T

print(json.dumps({
    "resnet20": {"features": features.tolist(), "logits": logits.tolist()},
    "inception": {"shapes": shapes, "features": pooled[:, ::8].tolist(), "logits": unbiased[:, ::16].tolist()},
}))
