"""Gelu and Mish: x times something that rises from 0 to 1; concave, convex around zero, and concave again."""

from __future__ import annotations

import math
from dataclasses import dataclass

from certify.arrays import Array, namespace
from certify.ops.curve import Curve, Stretch
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.special import normal_density, normal_probability

HANDLED = "chord and tangent planes, tangent points optimised"


@dataclass(frozen=True, eq=False)
class Dip(Curve):
    """Convex on `hollow` only; falling left of the one turn, which is in there; steeper than 1 right of `hollow`."""

    absolute = 1.0

    @property
    def hollow(self) -> tuple[float, float]:
        """Where f is convex; concave on either side."""
        raise NotImplementedError

    @property
    def turn(self) -> float:
        """The minimum."""
        raise NotImplementedError

    def turns(self, lower: Array, upper: Array) -> tuple[Array | float, ...]:
        """The minimum."""
        return (self.turn,)

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """The hollow."""
        return Stretch(*self.hollow)

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """The right one of the concave stretches if the last tangent there is above f(l), else the left one."""
        xp = namespace(lower)
        last = self.forward(upper) + self.derivative(upper) * (lower - upper)
        right = (upper > self.hollow[1]) & (last >= self.forward(lower))
        infinite = xp.full_like(lower, math.inf)
        start = xp.where(right, xp.full_like(lower, self.hollow[1]), -infinite)
        return Stretch(start, xp.where(right, infinite, xp.full_like(lower, self.hollow[0])))


@dataclass(frozen=True, eq=False)
class Gelu(Dip):
    """x times the probability that a standard normal variable is below x (Hendrycks and Gimpel 2016)."""

    hollow = (-math.sqrt(2.0), math.sqrt(2.0))
    turn = -0.7517915246935645

    def forward(self, *xs: Array) -> Array:
        """x Phi(x)."""
        return xs[0] * normal_probability(xs[0])

    def derivative(self, x: Array) -> Array:
        """Phi(x) + x phi(x)."""
        return normal_probability(x) + x * normal_density(x)

    def second_derivative(self, x: Array) -> Array:
        """(2 - x^2) phi(x)."""
        return (2.0 - x * x) * normal_density(x)

    def steepness(self, x: Array) -> Array:
        """Left of zero the terms cancel."""
        return normal_probability(x) + abs(x) * normal_density(x)


ROOT = math.sqrt(2.0 / math.pi)
CUBIC = 0.044715


@dataclass(frozen=True, eq=False)
class TanhGelu(Dip):
    """Its approximation x sigmoid(v) with v(x) = 2 sqrt(2 / pi) (x + 0.044715 x^3)."""

    hollow = (-1.4185040087908284, 1.4185040087908284)
    turn = -0.7524614220710163

    def _share(self, x: Array) -> tuple[Array, Array, Array, Array]:
        """(sigmoid(v), sigmoid(-v), v', v''); x limited to where that is not constant."""
        xp = namespace(x)
        x = xp.clip(x, -30.0, 30.0)
        v = 2.0 * ROOT * (x + CUBIC * x * x * x)
        small = xp.exp(-abs(v))
        one, rest = 1.0 / (1.0 + small), small / (1.0 + small)
        share, other = xp.where(v >= 0.0, one, rest), xp.where(v >= 0.0, rest, one)
        return share, other, 2.0 * ROOT * (1.0 + 3.0 * CUBIC * x * x), 12.0 * ROOT * CUBIC * x

    def forward(self, *xs: Array) -> Array:
        """x sigmoid(v)."""
        return xs[0] * self._share(xs[0])[0]

    def derivative(self, x: Array) -> Array:
        """The product rule."""
        share, other, slope, _ = self._share(x)
        return share + x * share * other * slope

    def second_derivative(self, x: Array) -> Array:
        """The product rule again."""
        share, other, slope, bend = self._share(x)
        return share * other * (2.0 * slope + x * ((other - share) * slope * slope + bend))

    def steepness(self, x: Array) -> Array:
        """Left of zero the terms cancel."""
        share, other, slope, _ = self._share(x)
        return share + abs(x) * share * other * slope


@dataclass(frozen=True, eq=False)
class Mish(Dip):
    """x tanh(softplus(x)) (Misra 2019)."""

    hollow = (-2.2563763963607933, 1.4905711794854284)
    turn = -1.192431214515495

    def _share(self, x: Array) -> tuple[Array, Array, Array]:
        """s = tanh(log(1 + e^x)) = w / (w + 2) with w = e^x (e^x + 2), and two derivatives, in terms of exp(-|x|)."""
        xp = namespace(x)
        e, right = xp.exp(-abs(x)), x >= 0.0
        bottom = xp.where(right, 1.0 + 2.0 * e + 2.0 * e * e, e * e + 2.0 * e + 2.0)
        share = xp.where(right, 1.0 + 2.0 * e, e * (e + 2.0)) / bottom
        slope = 4.0 * e * (1.0 + e) * xp.where(right, e, xp.ones_like(e)) / bottom**2
        first = xp.where(right, e * e * (2.0 + e), e * (2.0 * e + 1.0)) * bottom
        second = 4.0 * e * e * (1.0 + e) ** 2
        return share, slope, 4.0 * (first - second) / bottom**3

    def forward(self, *xs: Array) -> Array:
        """x s(x)."""
        return xs[0] * self._share(xs[0])[0]

    def derivative(self, x: Array) -> Array:
        """s + x s'."""
        share, slope, _ = self._share(x)
        return share + x * slope

    def second_derivative(self, x: Array) -> Array:
        """2 s' + x s''."""
        _, slope, bend = self._share(x)
        return 2.0 * slope + x * bend

    def steepness(self, x: Array) -> Array:
        """Left of zero the terms cancel."""
        share, slope, _ = self._share(x)
        return share + abs(x) * slope


@register(
    "Gelu",
    handled=HANDLED,
    since=20,
    examples=lambda: [Example([(2, 3)], opset=20), Example([(2, 3)], {"approximate": "tanh"}, opset=20)],
)
def gelu_node(node: NodeSpec, build: Builder) -> Value:
    """Gelu, exact or by tanh."""
    x = node.variable()
    approximate = node.attributes.get("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.unsupported(f"unknown approximation '{approximate}'")
    kind = TanhGelu if approximate == "tanh" else Gelu
    return build.emit(kind((x.shape,), x.shape), x)


@register("Mish", handled=HANDLED, since=18, examples=lambda: [Example([(2, 3)], opset=18)])
def mish_node(node: NodeSpec, build: Builder) -> Value:
    """Mish."""
    x = node.variable()
    return build.emit(Mish((x.shape,), x.shape), x)
