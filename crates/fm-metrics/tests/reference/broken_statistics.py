"""Files of statistics as numpy writes them, good and broken -> statistics/*.npz.

pip install numpy && python broken_statistics.py
"""
import pathlib

import numpy as np

mu = np.array([1.0, 2.0, 3.0])
sigma = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 3.0]])
place = pathlib.Path(__file__).parent / "statistics"
place.mkdir(exist_ok=True)


def save(name, mu=mu, sigma=sigma, write=np.savez, **more):
    write(place / name, mu=mu, sigma=sigma, **more)


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


save("good")
save("compressed", write=np.savez_compressed)
save("single", mu.astype(np.float32), sigma.astype(np.float32))
save("columns_first", sigma=np.asfortranarray(sigma))
save("odd_count", count=np.array(np.nan))
save("mu_is_a_column", mu[:, None])
save("mu_is_longer", np.append(mu, 4.0))
save("mu_is_empty", mu[:0], sigma[:0, :0])
save("sigma_is_a_vector", sigma=sigma.diagonal())
save("sigma_is_wide", sigma=sigma[:2])
save("mu_has_nan", changed(mu, 1, np.nan))
save("sigma_has_infinity", sigma=changed(sigma, (2, 0), np.inf))
save("not_symmetric", sigma=changed(sigma, (0, 2), 0.9))
save("negative_variance", sigma=changed(sigma, (1, 1), -0.25))
save("whole_numbers", mu.astype(np.int64))
np.savez(place / "no_sigma", mu=mu)
