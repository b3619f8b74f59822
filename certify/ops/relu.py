"""Piecewise linear activations with one kink: Relu and LeakyRelu; Clip as two of them.

Relaxation: the triangle; its lower slope is free in [0, 1] (Zhang et al. 2018, CROWN; Xu et al. 2021, alpha-CROWN).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace, negative, positive
from certify.ops.kinds import Elementwise, Planes, Relaxation, with_spec_axis
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.scale import ScaleShift

# Bounds further out are not subtracted from what they bound, whose last digits that would cost.
FAR = 2.0**20


class Triangle(Relaxation):
    """The triangle over [l, u] of x -> max(s x, x), s < 1; the parameter moves the lower slope from s to 1."""

    def __init__(self, lower: Array, upper: Array, negative_slope: float) -> None:
        """lower, upper: [batch, *shape]."""
        xp = namespace(lower)
        self.s = negative_slope
        self.unstable = (lower < 0.0) & (upper > 0.0)
        width = xp.where(self.unstable, upper - lower, xp.ones_like(lower))
        # An interval too wide for its width to be finite has no chord: NaN, from which nothing is ever concluded.
        chord = (upper - self.s * lower) / width + 0.0 * width
        fixed = xp.where(lower >= 0.0, xp.ones_like(lower), xp.full_like(lower, self.s))
        offset = xp.where(self.unstable, (self.s - chord) * lower, xp.zeros_like(lower))
        self._gap = offset
        self.adaptive = with_spec_axis(xp.where(upper > -lower, xp.ones_like(lower), xp.zeros_like(lower)))
        self.free = with_spec_axis(xp.where(self.unstable, xp.full_like(lower, 1.0 - self.s), xp.zeros_like(lower)))
        self.fixed = with_spec_axis(fixed)
        self.chord = with_spec_axis(xp.where(self.unstable, chord, fixed))
        self.chord_offset = with_spec_axis(offset)

    def start(self) -> tuple[Array, ...]:
        """Slope 1 where the positive side is the larger one, else s."""
        return (self.adaptive,)

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """Lower: the line through the kink with the chosen slope; upper: the chord."""
        return Planes((self.fixed + self.free * parameters[0],), None, (self.chord,), self.chord_offset)

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """Only the lower slope is free."""
        return (self.free * positive(weight) * xs[0],)

    def gap(self) -> Array:
        """Height of the chord above the kink."""
        return self._gap


@dataclass(frozen=True, eq=False)
class Relu(Elementwise):
    """x -> x for x >= 0, negative_slope * x below; negative_slope < 1."""

    negative_slope: float = 0.0

    @property
    def drafts(self) -> bool:
        """Yes."""
        return True

    @property
    def steepest(self) -> float:
        """Of the two sides."""
        return max(1.0, abs(self.negative_slope))

    def forward(self, *xs: Array) -> Array:
        """max(negative_slope x, x)."""
        if self.negative_slope == 0.0:
            return positive(xs[0])
        return positive(xs[0]) + self.negative_slope * negative(xs[0])

    def derivative(self, x: Array) -> Array:
        """The left derivative at the kink."""
        xp = namespace(x)
        return xp.where(x > 0.0, xp.ones_like(x), xp.full_like(x, self.negative_slope))

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Monotone for slopes >= 0; below zero the kink is the minimum."""
        lower, upper = bounds[0]
        low, high = self.forward(lower), self.forward(upper)
        if self.negative_slope >= 0.0:
            return low, high
        xp = namespace(lower)
        touches_kink = (lower < 0.0) & (upper > 0.0)
        return xp.where(touches_kink, xp.zeros_like(low), xp.minimum(low, high)), xp.maximum(low, high)

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """The triangle."""
        return Triangle(*bounds[0], self.negative_slope)

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Where the kink lies inside."""
        lower, upper = bounds[0]
        return (lower < 0.0) & (upper > 0.0)

    def split_point(self, lower: Array, upper: Array) -> Array:
        """The kink."""
        return namespace(lower).zeros_like(lower)


@register("Relu", handled="triangle relaxation, split at 0", examples=lambda: [Example([(2, 3)]), Example([(4,)])])
def relu(node: NodeSpec, build: Builder) -> Value:
    """Relu."""
    x = node.variable()
    return build.emit(Relu((x.shape,), x.shape), x)


@register(
    "LeakyRelu",
    handled="triangle relaxation, split at 0",
    examples=lambda: [Example([(2, 3)]), Example([(5,)], {"alpha": 0.3}), Example([(5,)], {"alpha": 2.5}),
                      Example([(5,)], {"alpha": -0.5}), Example([(5,)], {"alpha": 1.0})],
)  # fmt: skip
def leaky_relu(node: NodeSpec, build: Builder) -> Value:
    """LeakyRelu."""
    return leaky(build, node.variable(), float(node.attributes.get("alpha", 0.01)))


def leaky(build: Builder, x: Value, slope: float) -> Value:
    """x for x >= 0, slope * x below. A slope s above 1 is concave: -s times the one for 1/s of -x makes it convex."""
    if slope == 1.0:
        return x
    if slope < 1.0:
        return build.emit(Relu((x.shape,), x.shape, slope), x)
    flipped = build.emit(ScaleShift.scalar(x.shape, -1.0), x)
    bent = build.emit(Relu((x.shape,), x.shape, 1.0 / slope), flipped)
    return build.emit(ScaleShift.scalar(x.shape, -slope), bent)


@register(
    "Clip",
    takes="float int",
    handled="exactly, as two Relu",
    examples=lambda: [Example([(2, 3)], {"min": -0.5, "max": 0.25}, opset=7), Example([(6,)], {"min": 0.1}, opset=7),
                      Example([(6,), np.float32(-0.5), np.float32(0.25)]), Example([(6,), (), np.float32(0.25)]),
                      Example([(6,), np.float32(-1e30), np.float32(1e9)]), Example([(2, 3), (), ()])],
)  # fmt: skip
def clip(node: NodeSpec, build: Builder) -> Value:
    """max(x, lo) = lo + relu(x - lo), then min(y, hi) = hi - relu(hi - y)."""
    if any(isinstance(node.operand(place), Value) for place in (1, 2)):
        return _clipped_between(node, build)
    x = node.variable()
    low, high = (node.setting(name, place) for name, place in (("min", 1), ("max", 2)))
    for bound in (low, high):
        if bound is not None and np.ndim(bound) != 0 and np.size(bound) != 1:
            raise node.unsupported("bounds must be scalars")
    if low is not None and np.isfinite(low) and float(low) > np.finfo(np.float32).min:
        x = _above(build, x, float(low))
    if high is not None and np.isfinite(high) and float(high) < np.finfo(np.float32).max:
        mirrored = build.emit(ScaleShift.scalar(x.shape, -1.0), x)
        x = build.emit(ScaleShift.scalar(x.shape, -1.0), _above(build, mirrored, -float(high)))
    return x


def _clipped_between(node: NodeSpec, build: Builder) -> Value:
    """min(max(x, lo), hi) for bounds of which one is computed; where they cross, the upper one holds."""
    from certify.ops.extremes import finite_bound, maximum, minimum

    y = node.variable()
    low, high = finite_bound(node, node.operand(1), False), finite_bound(node, node.operand(2), True)
    y = y if low is None else maximum(build, y, low)
    return y if high is None else minimum(build, y, high)


def _above(build: Builder, x: Value, low: float) -> Value:
    """max(x, low)."""
    if abs(low) > FAR:
        from certify.ops.extremes import maximum

        return maximum(build, x, np.asarray(low))
    shifted = build.emit(ScaleShift.scalar(x.shape, 1.0, -low), x)
    return build.emit(ScaleShift.scalar(x.shape, 1.0, low), build.emit(Relu((x.shape,), x.shape), shifted))
