"""Writes the arrays beside this file. Needs numpy 2: python make.py"""

import io
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
TYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()


def values(name):
    """Two rows of three numbers, with the extremes of the type."""
    kind = np.dtype(name)
    if kind.kind == "b":
        return np.array([[0, 1, 1], [1, 0, 0]], kind)
    if kind.kind == "f":
        return np.array([[0, 0.5, -1.5], [2, np.finfo(kind).max, np.finfo(kind).tiny]], kind)
    return np.array([[0, 1, 2], [3, np.iinfo(kind).min, np.iinfo(kind).max]], kind)


for name in TYPES:
    for order, byte in (("le", "<"), ("be", ">")):
        if np.dtype(name).itemsize == 1 and order == "be":
            continue
        array = values(name).astype(np.dtype(name).newbyteorder(byte))
        np.save(HERE / f"{name}-{order}-c.npy", array)
        np.save(HERE / f"{name}-{order}-f.npy", np.asfortranarray(array))

for version in (1, 2, 3):
    with open(HERE / f"version-{version}.npy", "wb") as file:
        np.lib.format.write_array(file, values("float32"), version=(version, 0))

REFUSED = {
    "object": np.array([1, None], object),
    "text": np.array(["oak", "ash"]),
    "bytes": np.array([b"oak", b"ash"]),
    "complex": np.array([[1 + 2j]]),
    "structured": np.array([(1, 2.0)], [("a", "i4"), ("é", "f4")]),
    "date": np.array(["2020-01-01"], "M8[ns]"),
    "longdouble": np.array([[1]], np.longdouble),
    "scalar": np.array(2.5),
}
for name, array in REFUSED.items():
    np.save(HERE / f"refused-{name}.npy", array, allow_pickle=True)

images = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 11
labels = np.array([[1], [0]], np.uint8)
np.savez(HERE / "stored.npz", images=images, labels=labels)
np.savez_compressed(HERE / "deflated.npz", images=images, labels=labels)
np.savez_compressed(HERE / "one.npz", values("float64"))
print(sum(f.stat().st_size for f in HERE.iterdir() if f.suffix != ".py"), "bytes")
