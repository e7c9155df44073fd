"""Writes series.json beside itself: autocorrelations (statsmodels' acovf per sequence, pooled) and power spectra (scipy.signal.periodogram) of
sequences of two channels. Needs: pip install numpy scipy statsmodels.
"""
import json
import pathlib

import numpy
from scipy.signal import periodogram
from statsmodels.tsa.stattools import acovf

rng = numpy.random.default_rng(7)
out = []
for n, length, channels in [(5, 16, 2), (3, 9, 1)]:
    x = numpy.cumsum(rng.normal(size=(n, length, channels)), axis=1).round(6)
    centred = x - x.mean(axis=(0, 1))
    # adjusted=True divides the sum at lag k by length - k; equal lengths, so that the mean over sequences is the pooled mean.
    covariance = numpy.mean([[acovf(s[:, c], adjusted=True, demean=False, fft=False) for c in range(channels)] for s in centred], axis=0)
    correlation = (covariance / covariance[:, :1]).T[: length // 2 + 1]
    power = periodogram(centred, fs=1.0, window="boxcar", detrend=False, axis=1)[1].mean(axis=0)
    out.append({"x": x.reshape(n, -1).tolist(), "length": length, "autocorrelation": correlation.tolist(), "spectrum": power.tolist()})
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
