"""Mod of whole numbers by constant ones."""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import add, scale
from certify.ops.jumps import Floor
from certify.ops.logic import apply
from certify.ops.registry import Builder, Example, NodeSpec, Value, register

LARGEST = 2.0**20


@register("Mod", takes="int", since=10, handled="lines over the stairs, slopes optimised",
          examples=lambda: [Example([(2, 3), np.array([2, 3, 7])], kind="int", gives="int"),
                            Example([(5,), np.array(-3)], kind="int", gives="int")])  # fmt: skip
def mod(node: NodeSpec, build: Builder) -> Value:
    """x - m floor(x / m)."""
    x = node.variable()
    m = np.asarray(node.constant(1), dtype=np.float64)
    if (m == 0.0).any():
        raise node.unsupported("a division by the constant zero")
    if node.attributes.get("fmod", 0):
        raise node.unsupported("fmod = 1, the remainder with the sign of the dividend")
    if abs(m).max() > LARGEST:
        raise node.unsupported(f"a divisor above {LARGEST:g}")
    # Whole numbers keep half a step clear of the jumps, which is more than the quotient is rounded by.
    quotient = apply(build, Floor, scale(build, x, 1.0 / m, 0.5 / abs(m)))
    return add(build, x, scale(build, quotient, m), -1)
