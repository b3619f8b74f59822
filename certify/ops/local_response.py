"""LRN: x divided by a power of the mean square over neighbouring channels (Krizhevsky et al. 2012)."""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import multiply
from certify.ops.dense import dense
from certify.ops.layout import permute
from certify.ops.moments import square
from certify.ops.power import power
from certify.ops.registry import Builder, Example, NodeSpec, Value, register


@register("LRN", handled="chord and tangent planes of squares and the power, McCormick planes of the product",
          examples=lambda: [Example([(1, 4, 2, 2)], {"size": 3}),
                            Example([(1, 5, 2, 1)], {"size": 5, "alpha": 0.5, "beta": 0.5, "bias": 2.0})])  # fmt: skip
def local_response_normalization(node: NodeSpec, build: Builder) -> Value:
    """x (bias + alpha / size * s)^-beta, s being the sum of x^2 over `size` channels, a half of them behind each."""
    x = node.variable()
    size = int(node.attributes["size"])
    alpha, beta, bias = (
        float(node.attributes.get(name, np.float32(default)))
        for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    channels, rank = x.shape[1], len(x.shape)
    ahead = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    band = ((ahead >= -((size - 1) // 2)) & (ahead <= size // 2)) * (alpha / size)
    last = (0, *range(2, rank), 1)
    total = dense(build, permute(build, square(build, x), last), band, np.full(channels, bias))
    factor = permute(build, power(build, total, -beta), tuple(int(i) for i in np.argsort(last)))
    return multiply(build, x, factor)
