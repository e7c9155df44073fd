"""Writes augment.json beside itself: crops by numpy.pad, rotations and translations by scipy.ndimage.

Needs: pip install numpy scipy.
"""
import json
import pathlib

import numpy as np
from scipy.ndimage import affine_transform

channels, height, width = 2, 6, 9
image = np.arange(channels * height * width).reshape(channels, height, width)
image = np.sin(image * 0.7) * 0.9


def change(crop, degrees, shift):
    p = 5
    padded = np.pad(image, ((0, 0), (p, p), (p, p)), mode="reflect")
    out = padded[:, p + crop[0]:p + crop[0] + height, p + crop[1]:p + crop[1] + width]
    a = np.deg2rad(degrees)
    # Counter-clockwise as a picture is seen: rows point down.
    matrix = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    centre = (np.array([height, width]) - 1) / 2
    offset = centre - matrix @ (centre + np.array(shift))
    return np.stack([affine_transform(plane, matrix, offset, order=1, mode="grid-constant", cval=-1.0) for plane in out])


cases = [((0, 0), 0, (0, 0)), ((2, -3), 0, (0, 0)), ((-5, 4), 0, (0, 0)), ((0, 0), 0, (1, -2)), ((0, 0), 0, (-5, 8)), ((0, 0), 15, (0, 0)),
         ((0, 0), -90, (0, 0)), ((0, 0), 180, (0, 0)), ((0, 0), 33.3, (2, 1)), ((1, 2), -7.5, (-1, 3))]
out = {"shape": [channels, height, width], "image": image.flatten().tolist(),
       "cases": [{"crop": c, "degrees": d, "shift": s, "values": change(c, d, s).flatten().tolist()} for c, d, s in cases]}
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out) + "\n")
