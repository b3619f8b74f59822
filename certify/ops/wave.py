"""Sin and Cos: concave around each peak, convex around each trough."""

from __future__ import annotations

import math
from dataclasses import dataclass

from certify.arrays import Array, namespace
from certify.ops.curve import Curve, Stretch
from certify.ops.registry import Builder, Example, NodeSpec, Value, register

HANDLED = "chord and tangent planes within a period, else constants"


@dataclass(frozen=True, eq=False)
class Wave(Curve):
    """sin, moved: the function of period 2 pi with values between -1 and 1 that has a peak at `peak`."""

    # Farther out the places of the peaks are too coarsely known.
    domain = (-1e6, 1e6)
    range = (-1.0, 1.0)
    absolute = 1.0

    @property
    def peak(self) -> float:
        """Where one of the peaks is."""
        raise NotImplementedError

    def regular(self, lower: Array, upper: Array) -> Array:
        """A single point needs no peaks."""
        return super().regular(lower, upper) | ((lower == upper) & namespace(lower).isfinite(lower))

    def second_derivative(self, x: Array) -> Array:
        """-f."""
        return -self.forward(x)

    def concave(self, lower: Array, upper: Array) -> Stretch:
        """Around the nearest peak."""
        return _around(_nearest(self.peak, lower, upper), lower, upper)

    def convex(self, lower: Array, upper: Array) -> Stretch:
        """Around the nearest trough."""
        return _around(_nearest(self.peak + math.pi, lower, upper), lower, upper)

    def turns(self, lower: Array, upper: Array) -> tuple[Array | float, ...]:
        """The nearest peak and trough."""
        return _nearest(self.peak, lower, upper), _nearest(self.peak + math.pi, lower, upper)


def _nearest(place: float, lower: Array, upper: Array) -> Array:
    """Of the points place + 2 k pi the one nearest to the middle: if [lower, upper] contains any, then this one."""
    period = 2.0 * math.pi
    return place + period * namespace(lower).round(((lower + upper) / 2.0 - place) / period)


def _around(center: Array, lower: Array, upper: Array) -> Stretch:
    """The half period around the center; unknown (NaN) where [lower, upper] reaches beyond both its neighbours."""
    xp = namespace(lower)
    reaches = xp.maximum(upper - center, center - lower)
    known = xp.where(reaches <= 1.5 * math.pi, center, xp.full_like(center, math.nan))
    return Stretch(known - 0.5 * math.pi, known + 0.5 * math.pi)


@dataclass(frozen=True, eq=False)
class Sin(Wave):
    """sin(x)."""

    peak = 0.5 * math.pi

    def forward(self, *xs: Array) -> Array:
        """sin(x)."""
        return namespace(xs[0]).sin(xs[0])

    def derivative(self, x: Array) -> Array:
        """cos(x)."""
        return namespace(x).cos(x)


@dataclass(frozen=True, eq=False)
class Cos(Wave):
    """cos(x)."""

    peak = 0.0

    def forward(self, *xs: Array) -> Array:
        """cos(x)."""
        return namespace(xs[0]).cos(xs[0])

    def derivative(self, x: Array) -> Array:
        """-sin(x)."""
        return -namespace(x).sin(x)


@register("Sin", handled=HANDLED, examples=lambda: [Example([(2, 3)])], since=7)
def sin_node(node: NodeSpec, build: Builder) -> Value:
    """Sin."""
    x = node.variable()
    return build.emit(Sin((x.shape,), x.shape), x)


@register("Cos", handled=HANDLED, examples=lambda: [Example([(2, 3)])], since=7)
def cos_node(node: NodeSpec, build: Builder) -> Value:
    """Cos."""
    x = node.variable()
    return build.emit(Cos((x.shape,), x.shape), x)
