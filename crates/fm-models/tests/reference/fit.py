"""Fits the polynomials of src/fused/functions.rs. Needs NumPy and SciPy; prints them with their largest relative errors."""
import numpy as np
from numpy.polynomial import polynomial as P
from scipy.special import erfcx


def fit(name, low, high, f, degree):
    nodes = (low + high) / 2 + (high - low) / 2 * np.cos(np.pi * (np.arange(4000) + 0.5) / 4000)
    values = f(nodes)
    c = P.polyfit(nodes, values, degree, w=1 / values)
    print(name, [float(f"{x:.9e}") for x in c], f"{np.abs(P.polyval(nodes, c) / values - 1).max():.1e}")


# The upper tail of the normal distribution times exp(a^2 / 2), a in [0, 10], in s = (a - 4) / (a + 4).
fit("TAIL", -1, 6 / 14, lambda s: 0.5 * erfcx(4 * (1 + s) / (1 - s) / np.sqrt(2)), 9)
# tanh(x) / x for |x| <= 0.625, in x^2.
fit("TANH", 1e-9, 0.625**2, lambda z: np.tanh(np.sqrt(z)) / np.sqrt(z), 5)
