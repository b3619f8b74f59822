"""The error function and the normal distribution in both array libraries; numpy has neither."""

from __future__ import annotations

import math

import numpy as np

from certify.arrays import Array, namespace

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def erf(x: Array) -> Array:
    """erf(x), to a unit in the last place."""
    if namespace(x) is np:
        return np.asarray(_erf(np.asarray(x, np.float64)), dtype=x.dtype)
    import torch

    return torch.special.erf(x)


def normal_density(x: Array) -> Array:
    """exp(-x^2 / 2) / sqrt(2 pi); nothing is left of it beyond 40."""
    xp = namespace(x)
    x = xp.clip(x, -40.0, 40.0)
    return xp.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def normal_probability(x: Array) -> Array:
    """The integral of the density up to x; its relative error grows like x^2 units in the last place."""
    scaled = x / -math.sqrt(2.0)
    if namespace(x) is np:
        return 0.5 * np.asarray(_erfc(np.asarray(scaled, np.float64)), dtype=x.dtype)
    import torch

    return 0.5 * torch.special.erfc(scaled)
