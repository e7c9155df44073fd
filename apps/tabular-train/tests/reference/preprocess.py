"""What NumPy makes of the columns of a small table of counts: mean and deviation of x and of log1p(x).

    python preprocess.py > preprocess.json        (NumPy as pinned in benches/peers/requirements.txt)
"""

import json

import numpy as np

x = np.random.default_rng(0).poisson([1.0, 20.0, 300.0], (12, 3)).astype(float)
both = lambda z: {"mean": z.mean(0).tolist(), "deviation": z.std(0).tolist()}
print(json.dumps({
    "x": x.tolist(),
    "none": {"mean": [0.0] * 3, "deviation": [1.0] * 3},
    "standardize": both(x),
    "log1p-standardize": both(np.log1p(x)),
    "counts": both(np.log1p(x)),
}))
