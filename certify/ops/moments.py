"""x^2 and 1 / sqrt(x), what norms and variances are made of."""

from __future__ import annotations

from certify.ops.power import power
from certify.ops.registry import Builder, Value


def square(build: Builder, x: Value) -> Value:
    """x^2."""
    return power(build, x, 2.0)


def inverse_root(build: Builder, x: Value) -> Value:
    """1 / sqrt(x), where x is positive."""
    return power(build, x, -0.5)
