"""BatchNormalization at inference: a scale and shift per channel."""

from __future__ import annotations

import numpy as np

from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.scale import ScaleShift


def _examples() -> list[Example]:
    ramp = np.linspace(0.5, 1.5, 3, dtype=np.float32)
    return [
        Example([(2, 3, 4), ramp, ramp - 1, 2 * ramp - 2, ramp], {"epsilon": 1e-2}, opset=15),
        Example([(1, 3), ramp, ramp - 1, 2 * ramp - 2, ramp], opset=9),
    ]


@register("BatchNormalization", handled="linear", examples=_examples)
def batch_normalization(node: NodeSpec, build: Builder) -> Value:
    """(x - mean) / sqrt(var + epsilon) * gamma + beta along axis 1."""
    x = node.variable()
    if node.attributes.get("training_mode", 0) or node.n_outputs > 1:
        raise node.unsupported("training mode is on", "export the model in evaluation mode")
    gamma, beta, mean, variance = (np.asarray(node.constant(i), dtype=np.float64) for i in range(1, 5))
    factor = gamma / np.sqrt(variance + float(node.attributes.get("epsilon", 1e-5)))
    per_channel = (-1,) + (1,) * (len(x.shape) - 2)
    shift = (beta - mean * factor).reshape(per_channel)
    return build.emit(ScaleShift((x.shape,), x.shape, factor.reshape(per_channel), shift), x)
