"""Exp, Log, Softplus, and the Elu family, which is Celu(x) = max(x, alpha (exp(x / alpha) - 1)) plus a Relu."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace, negative, positive
from certify.ops.arithmetic import add
from certify.ops.curve import EVERYWHERE, NOWHERE, AllConvex, Curve, Stretch
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.relu import Relu
from certify.ops.scale import ScaleShift

# exp overflows beyond 709; products with its values still have to be finite.
LARGEST_EXPONENT = 600.0
# Closer to zero the derivatives of log, or products with them, overflow.
SMALLEST = 1e-150
CONVEX = "chord above, tangent below, tangent point optimised"


@dataclass(frozen=True, eq=False)
class Exp(AllConvex):
    """exp(x)."""

    domain = (-math.inf, LARGEST_EXPONENT)
    range = (0.0, math.inf)

    def forward(self, *xs: Array) -> Array:
        """exp(x)."""
        return namespace(xs[0]).exp(xs[0])

    def derivative(self, x: Array) -> Array:
        """exp(x)."""
        return namespace(x).exp(x)

    def second_derivative(self, x: Array) -> Array:
        """exp(x)."""
        return namespace(x).exp(x)

    def favourite(self, lower: Array, upper: Array) -> Array:
        """Not so far right that the tangent becomes negative at the lower end."""
        xp = namespace(lower)
        return xp.minimum((lower + upper) / 2.0, lower + 0.99)


@dataclass(frozen=True, eq=False)
class Log(Curve):
    """log(x)."""

    domain = (SMALLEST, math.inf)

    def forward(self, *xs: Array) -> Array:
        """log(x), NaN where there is none."""
        with np.errstate(all="ignore"):
            return namespace(xs[0]).log(xs[0])

    def derivative(self, x: Array) -> Array:
        """1 / x."""
        with np.errstate(all="ignore"):
            return 1.0 / x

    def second_derivative(self, x: Array) -> Array:
        """-1 / x^2."""
        return -((1.0 / x) ** 2)

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """Everywhere."""
        return EVERYWHERE

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """Nowhere."""
        return NOWHERE


@dataclass(frozen=True, eq=False)
class Softplus(AllConvex):
    """log(1 + exp(x))."""

    range = (0.0, math.inf)

    def forward(self, *xs: Array) -> Array:
        """max(x, 0) + log(1 + exp(-|x|)), which never overflows."""
        xp = namespace(xs[0])
        return positive(xs[0]) + xp.log1p(xp.exp(-abs(xs[0])))

    def derivative(self, x: Array) -> Array:
        """Sigmoid."""
        xp = namespace(x)
        small = xp.exp(-abs(x))
        return xp.where(x >= 0.0, xp.ones_like(x), small) / (1.0 + small)

    def second_derivative(self, x: Array) -> Array:
        """Sigmoid's derivative."""
        small = namespace(x).exp(-abs(x))
        return small / (1.0 + small) ** 2


@dataclass(frozen=True, eq=False)
class Celu(AllConvex):
    """x for x >= 0, alpha (exp(x / alpha) - 1) below; alpha > 0. Its slope does not jump."""

    alpha: float = 1.0

    @property
    def range(self) -> tuple[float, float]:
        """Above -alpha."""
        return -self.alpha, math.inf

    def forward(self, *xs: Array) -> Array:
        """max(x, 0) + alpha expm1(min(x, 0) / alpha)."""
        return positive(xs[0]) + self.alpha * namespace(xs[0]).expm1(negative(xs[0]) / self.alpha)

    def derivative(self, x: Array) -> Array:
        """exp(min(x, 0) / alpha)."""
        return namespace(x).exp(negative(x) / self.alpha)

    def second_derivative(self, x: Array) -> Array:
        """Zero on the right."""
        return namespace(x).where(x < 0.0, self.derivative(x) / self.alpha, namespace(x).zeros_like(x))


def _combine(build: Builder, x: Value, celu: float, alpha: float, relu: float) -> Value:
    """Celu * Celu_alpha(x) + relu * Relu(x)."""
    bent = build.emit(Celu((x.shape,), x.shape, alpha), x)
    if celu != 1.0:
        bent = build.emit(ScaleShift.scalar(x.shape, celu), bent)
    if relu == 0.0:
        return bent
    other = build.emit(ScaleShift.scalar(x.shape, relu), build.emit(Relu((x.shape,), x.shape), x))
    return add(build, bent, other)


@register("Exp", handled=CONVEX, examples=lambda: [Example([(2, 3)])])
def exp_node(node: NodeSpec, build: Builder) -> Value:
    """Exp."""
    x = node.variable()
    return build.emit(Exp((x.shape,), x.shape), x)


@register("Log", handled="chord below, tangent above, tangent point optimised; positive inputs only",
          examples=lambda: [Example([(2, 3)])])  # fmt: skip
def log_node(node: NodeSpec, build: Builder) -> Value:
    """Log."""
    x = node.variable()
    return build.emit(Log((x.shape,), x.shape), x)


@register("Softplus", handled=CONVEX, examples=lambda: [Example([(2, 3)])])
def softplus_node(node: NodeSpec, build: Builder) -> Value:
    """Softplus."""
    x = node.variable()
    return build.emit(Softplus((x.shape,), x.shape), x)


def _alphas(*alphas: float, opset: int = 17) -> list[Example]:
    return [Example([(2, 3)], opset=opset)] + [Example([(5,)], {"alpha": a}, opset=opset) for a in alphas]


@register("Elu", handled="Celu (chord and tangent) and Relu", examples=lambda: _alphas(0.3, 2.5, -0.5))
def elu_node(node: NodeSpec, build: Builder) -> Value:
    """The slope jumps from alpha to 1 at zero: alpha Celu_1(x) + (1 - alpha) Relu(x)."""
    alpha = float(node.attributes.get("alpha", 1.0))
    return _combine(build, node.variable(), alpha, 1.0, 1.0 - alpha)


@register("Selu", handled="Celu (chord and tangent) and Relu",
          examples=lambda: [Example([(2, 3)]), Example([(5,)], {"alpha": 0.5, "gamma": 2.0})])  # fmt: skip
def selu_node(node: NodeSpec, build: Builder) -> Value:
    """gamma Elu_alpha(x); the defaults are the float32 numbers of the standard."""
    alpha = float(node.attributes.get("alpha", np.float32(1.67326319217681884765625)))
    gamma = float(node.attributes.get("gamma", np.float32(1.05070102214813232421875)))
    return _combine(build, node.variable(), gamma * alpha, 1.0, gamma * (1.0 - alpha))


@register("Celu", handled=CONVEX, since=12, examples=lambda: _alphas(0.3, 2.5))
def celu_node(node: NodeSpec, build: Builder) -> Value:
    """max(x, 0) + min(0, alpha (exp(x / alpha) - 1)); for alpha < 0 the second part lies right of zero."""
    x = node.variable()
    alpha = float(node.attributes.get("alpha", 1.0))
    if alpha > 0.0:
        return _combine(build, x, 1.0, alpha, 0.0)
    raise node.unsupported("alpha must be positive")
