"""Sigmoid, Tanh, Erf, Softsign and Atan: increasing, convex left of zero, concave right of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from certify.arrays import Array, namespace
from certify.ops.curve import Curve, Stretch
from certify.ops.kinds import Elementwise
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.special import erf

HANDLED = "chord and tangent planes, tangent points optimised"


@dataclass(frozen=True, eq=False)
class SShaped(Curve):
    """An increasing function with f(x) + f(-x) = symmetry that bends at zero only."""

    @property
    def symmetry(self) -> float:
        """f(x) + f(-x)."""
        return 0.0

    @property
    def absolute(self) -> float:
        """Values are accurate to the unit in the last place of 1."""
        return 1.0

    @property
    def range(self) -> tuple[float, float]:
        """Between the limits at either end."""
        return self.symmetry - 1.0, 1.0

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """Right of zero."""
        return Stretch(0.0, math.inf)

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """Left of zero."""
        return Stretch(-math.inf, 0.0)


@dataclass(frozen=True, eq=False)
class Sigmoid(SShaped):
    """1 / (1 + exp(-x))."""

    symmetry = 1.0

    def forward(self, *xs: Array) -> Array:
        """Through tanh, which never overflows."""
        return 0.5 + 0.5 * namespace(xs[0]).tanh(0.5 * xs[0])

    def derivative(self, x: Array) -> Array:
        """f (1 - f)."""
        t = namespace(x).tanh(0.5 * x)
        return 0.25 * (1.0 - t * t)

    def second_derivative(self, x: Array) -> Array:
        """f (1 - f) (1 - 2 f)."""
        t = namespace(x).tanh(0.5 * x)
        return -0.25 * t * (1.0 - t * t)


@dataclass(frozen=True, eq=False)
class Tanh(SShaped):
    """tanh(x)."""

    def forward(self, *xs: Array) -> Array:
        """tanh(x)."""
        return namespace(xs[0]).tanh(xs[0])

    def derivative(self, x: Array) -> Array:
        """1 - tanh^2."""
        t = namespace(x).tanh(x)
        return 1.0 - t * t

    def second_derivative(self, x: Array) -> Array:
        """-2 tanh (1 - tanh^2)."""
        t = namespace(x).tanh(x)
        return -2.0 * t * (1.0 - t * t)


@dataclass(frozen=True, eq=False)
class Erf(SShaped):
    """The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""

    def forward(self, *xs: Array) -> Array:
        """erf(x)."""
        return erf(xs[0])

    def derivative(self, x: Array) -> Array:
        """2 / sqrt(pi) exp(-x^2); nothing is left of it beyond 30."""
        x = namespace(x).clip(x, -30.0, 30.0)
        return 2.0 / math.sqrt(math.pi) * namespace(x).exp(-x * x)

    def second_derivative(self, x: Array) -> Array:
        """-2 x f'(x)."""
        return -2.0 * x * self.derivative(x)


@dataclass(frozen=True, eq=False)
class Softsign(SShaped):
    """x / (1 + |x|)."""

    def forward(self, *xs: Array) -> Array:
        """x / (1 + |x|)."""
        return xs[0] / (1.0 + abs(xs[0]))

    def derivative(self, x: Array) -> Array:
        """1 / (1 + |x|)^2."""
        return (1.0 / (1.0 + abs(x))) ** 2

    def second_derivative(self, x: Array) -> Array:
        """-2 sign(x) / (1 + |x|)^3."""
        return -2.0 * namespace(x).sign(x) * (1.0 / (1.0 + abs(x))) ** 3


@dataclass(frozen=True, eq=False)
class Atan(SShaped):
    """The inverse tangent."""

    # Wider than its limits by what float64 rounds them by.
    range = (-1.5707963267948968, 1.5707963267948968)

    def forward(self, *xs: Array) -> Array:
        """atan(x)."""
        return namespace(xs[0]).atan(xs[0])

    def derivative(self, x: Array) -> Array:
        """1 / (1 + x^2)."""
        inverse = 1.0 / (1.0 + abs(x))
        return inverse * inverse / (inverse * inverse + (1.0 - inverse) ** 2)

    def second_derivative(self, x: Array) -> Array:
        """-2 x f'(x)^2."""
        return -2.0 * x * self.derivative(x) ** 2


def _one(name: str, kind: type[Elementwise]) -> None:
    """Register an operator without attributes."""

    @register(name, handled=HANDLED, examples=lambda: [Example([(2, 3)])])
    def translate(node: NodeSpec, build: Builder) -> Value:
        x = node.variable()
        return build.emit(kind((x.shape,), x.shape), x)


for _name, _kind in {"Sigmoid": Sigmoid, "Tanh": Tanh, "Erf": Erf, "Softsign": Softsign, "Atan": Atan}.items():
    _one(_name, _kind)
