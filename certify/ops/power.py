"""x^p for constant exponents p: Pow and Sqrt."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace
from certify.ops.curve import EVERYWHERE, NOWHERE, Curve, Stretch
from certify.ops.layout import reshape
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.scale import ScaleShift
from certify.ops.select import concat, take

LEFT, RIGHT = Stretch(-math.inf, 0.0), Stretch(0.0, math.inf)
# Of what a root's infinite slope at zero leaves, tangents begin at this share of the upper end.
ROOT = 1e-6
HANDLED = "chord and tangent planes, tangent points optimised; infinite at poles"


@dataclass(frozen=True, eq=False)
class AnyPower(Curve):
    """x^exponent; any x for exponents 1, 2, 3, ..., any but zero for negative integers, x >= 0 for others."""

    @property
    def exponent(self) -> float:
        """Neither 0 nor 1."""
        raise NotImplementedError

    @property
    def _even(self) -> bool:
        return self.exponent % 2.0 == 0.0

    @property
    def _odd(self) -> bool:
        return self.exponent % 2.0 == 1.0

    @property
    def domain(self) -> tuple[float, float]:
        """Up to where powers overflow."""
        largest = 1e200 ** (1.0 / max(1.0, abs(self.exponent)))
        return (-largest if self._even or self._odd else 0.0), largest

    @property
    def range(self) -> tuple[float, float]:
        """Even powers are not negative."""
        return (0.0 if self._even else -math.inf), math.inf

    def regular(self, lower: Array, upper: Array) -> Array:
        """For negative exponents clear of zero, where the derivatives overflow."""
        fine = super().regular(lower, upper)
        if self.exponent > 0.0:
            return fine
        smallest = 1e-200 ** (1.0 / (1.0 - self.exponent))
        return fine & ((lower > smallest) | (upper < -smallest))

    def turns(self, lower: Array, upper: Array) -> tuple[Array | float, ...]:
        """Zero for even powers."""
        return (0.0,) if self.exponent > 0.0 else ()

    def forward(self, *xs: Array) -> Array:
        """x^p, NaN where there is none."""
        return self._power(xs[0], self.exponent)

    def derivative(self, x: Array) -> Array:
        """p x^(p - 1)."""
        return self.exponent * self._power(x, self.exponent - 1.0)

    def second_derivative(self, x: Array) -> Array:
        """p (p - 1) x^(p - 2)."""
        return self.exponent * (self.exponent - 1.0) * self._power(x, self.exponent - 2.0)

    @staticmethod
    def _power(x: Array, p: float) -> Array:
        simple = {-1.0: lambda: 1.0 / x, 0.0: lambda: namespace(x).ones_like(x), 0.5: lambda: namespace(x).sqrt(x),
                  1.0: lambda: x, 2.0: lambda: x * x, 3.0: lambda: x * x * x}  # fmt: skip
        with np.errstate(all="ignore"):
            return simple[p]() if p in simple else x**p

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """Roots everywhere, odd powers left of zero, others nowhere."""
        if 0.0 < self.exponent < 1.0:
            return Stretch(namespace(lower).maximum(lower, ROOT * upper), math.inf)
        return LEFT if self._odd else NOWHERE

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """Roots nowhere, odd powers right of zero, others everywhere."""
        if 0.0 < self.exponent < 1.0:
            return NOWHERE
        return RIGHT if self._odd else EVERYWHERE

    def split_point(self, lower: Array, upper: Array) -> Array:
        """Zero where it is inside, else the middle."""
        xp = namespace(lower)
        return xp.where((lower < 0.0) & (upper > 0.0), xp.zeros_like(lower), (lower + upper) / 2.0)


@dataclass(frozen=True, eq=False)
class Power(AnyPower):
    """x^exponent for whatever exponent there is."""

    exponent: float = 2.0

    @property
    def factors(self) -> tuple[int, int] | None:
        """A square is the product of its input with itself."""
        return (0, 0) if self.exponent == 2.0 else None


def power(build: Builder, x: Value, exponent: float) -> Value:
    """x^exponent for one exponent."""
    if exponent == 1.0:
        return x
    if exponent == 0.0:
        return build.emit(ScaleShift.scalar(x.shape, 0.0, 1.0), x)
    return build.emit(Power((x.shape,), x.shape, exponent), x)


def _powers(build: Builder, x: Value, exponents: np.ndarray) -> Value:
    """x^exponents, elementwise: elements with equal exponents together, then put back in order."""
    flat = reshape(build, x, (exponents.size,))
    groups = [np.flatnonzero(exponents.reshape(-1) == e) for e in np.unique(exponents)]
    parts = [power(build, take(build, flat, 0, group), float(exponents.flat[group[0]])) for group in groups]
    together = concat(build, tuple(parts), 0)
    return reshape(build, take(build, together, 0, np.argsort(np.concatenate(groups))), exponents.shape)


def _exponents() -> list[Example]:
    singles = [2.0, 3.0, 4.0, 5.0, -1.0, -2.0, -3.0, 0.5, 1.5, 0.3, 2.5, -0.5, 0.0, 1.0]
    mixed = np.array([[2.0], [3.0], [1.0], [-2.0], [0.0], [2.0]], np.float32)
    return [
        *[Example([(2, 3), np.float32(p)]) for p in singles],
        Example([(2, 3), np.array([2.0], np.float32)], opset=7),
        Example([(2, 3), np.array(3, np.int64)], opset=12),
        Example([(3,), mixed]),
        Example([(2, 3), np.array([2.0, 2.0, 2.0], np.float32)]),
    ]


@register("Pow", handled=HANDLED, examples=_exponents)
def pow_node(node: NodeSpec, build: Builder) -> Value:
    """Pow with constant exponents."""
    x = node.variable()
    exponents = np.asarray(node.constant(1), dtype=np.float64)
    shape = np.broadcast_shapes(x.shape, exponents.shape)
    if x.shape != shape:
        x = build.emit(ScaleShift.broadcast(x.shape, shape), x)
    if np.unique(exponents).size == 1:
        return power(build, x, float(exponents.flat[0]))
    return _powers(build, x, np.broadcast_to(exponents, shape))


@register("Sqrt", handled=HANDLED, examples=lambda: [Example([(2, 3)])])
def sqrt_node(node: NodeSpec, build: Builder) -> Value:
    """Sqrt; nothing can be claimed of what may be negative."""
    return power(build, node.variable(), 0.5)
