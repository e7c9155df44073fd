"""Point sets that Rust and Python build alike, bit by bit: ../common/mod.rs is the same in Rust."""
import numpy as np

SCALES = np.array([1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, 1e3, 1e4])


def unit(seed, index):
    with np.errstate(over="ignore"):
        z = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.asarray(index, np.uint64) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return ((z ^ (z >> np.uint64(31))) >> np.uint64(40)).astype(np.float64) / 16777216.0


def points(kind, n, d, seed):
    i, k = np.arange(n, dtype=np.uint64)[:, None], np.arange(d, dtype=np.uint64)[None, :]

    def coordinate(seed, i):
        return unit(seed, i * np.uint64(d) + k)

    u = coordinate(seed, i)
    match kind:
        case "uniform":
            value = u
        case "lattice":
            value = np.floor(4.0 * u)
        case "clusters":
            value = 1000.0 * np.floor(5.0 * unit(seed + 1000003, i)) + u
        case "duplicates":
            value = coordinate(seed // 2, i // np.uint64(3))
        case "scales":
            value = u * SCALES[np.floor(9.0 * unit(seed + 7, i)).astype(int)]
        case "same":
            value = coordinate(seed // 2, i if seed % 2 == 0 else np.uint64(n - 1) - i)
    return np.broadcast_to(value, (n, d)).astype(np.float32)


def instance(kind, n, d, seed):
    return points(kind, n, d, 2 * seed), points(kind, n, d, 2 * seed + 1)
