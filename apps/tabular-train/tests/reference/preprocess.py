"""What NumPy and scikit-learn make of the columns of a small table of counts.

    python preprocess.py > preprocess.json        (NumPy as pinned in benches/peers/requirements.txt, and scikit-learn)

Mean and deviation of x and of log1p(x), scale and offset of MinMaxScaler, and the normal values of QuantileTransformer,
of the table and of its columns clipped to their quantiles at .1 and .9.
"""

import json
import warnings

import numpy as np
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer

warnings.simplefilter("ignore")  # fewer rows than quantiles
x = np.random.default_rng(0).poisson([1.0, 20.0, 300.0], (12, 3)).astype(float)
both = lambda z: {"mean": z.mean(0).tolist(), "deviation": z.std(0).tolist()}


def minmax(x):
    scaler = MinMaxScaler((-1, 1)).fit(x)  # z = x scale + min
    return {"mean": (-scaler.min_ / scaler.scale_).tolist(), "deviation": (1 / scaler.scale_).tolist()}


def quantile(x):
    transformer = QuantileTransformer(output_distribution="normal").fit(x)
    z = np.linspace(-3, 3, 13)[:, None] * np.ones(3)
    return {"normal": transformer.transform(x).tolist(), "z": z.tolist(), "back": transformer.inverse_transform(z).tolist()}


clipped = np.clip(x, *np.quantile(x, [0.1, 0.9], axis=0))
print(json.dumps({
    "x": x.tolist(),
    "none": {"mean": [0.0] * 3, "deviation": [1.0] * 3},
    "standardize": both(x),
    "log1p-standardize": both(np.log1p(x)),
    "counts": both(np.log1p(x)),
    "minmax": minmax(x),
    "quantile": quantile(x),
    "clipped": {"values": clipped.tolist(), "standardize": both(clipped), "minmax": minmax(clipped), "quantile": quantile(clipped)},
}))
