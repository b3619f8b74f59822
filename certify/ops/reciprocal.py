"""1 / x on intervals that do not contain zero; on others nothing is claimed (bounds become infinite)."""

from __future__ import annotations

from dataclasses import dataclass

from certify.ops.power import HANDLED, AnyPower
from certify.ops.registry import Builder, Example, NodeSpec, Value, register


@dataclass(frozen=True, eq=False)
class Reciprocal(AnyPower):
    """1 / x."""

    exponent = -1.0


@register("Reciprocal", handled=HANDLED, examples=lambda: [Example([(2, 3)])])
def reciprocal(node: NodeSpec, build: Builder) -> Value:
    """Reciprocal."""
    x = node.variable()
    return build.emit(Reciprocal((x.shape,), x.shape), x)
