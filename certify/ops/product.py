"""The product of two tensors that both depend on the input: McCormick's envelope (McCormick 1976)."""

from __future__ import annotations

from dataclasses import dataclass

from certify.arrays import Array, namespace, negative, positive, roundoff
from certify.ops.kinds import Nonlinear, Planes, Relaxation, with_spec_axis

# Outward slack, in units of roundoff, for the few products and sums that make up a plane or a corner.
SLACK = 16.0


class McCormick(Relaxation):
    """x y on a box: each plane mixes its two envelope planes, p * first + (1 - p) * second.

    lower: yl x + xl y - xl yl  and  yu x + xu y - xu yu;  upper: yu x + xl y - xl yu  and  yl x + xu y - xu yl.
    """

    def __init__(self, x: tuple[Array, Array], y: tuple[Array, Array]) -> None:
        """x, y: (lower, upper), [batch, *shape] each."""
        self.xl, self.xu = map(with_spec_axis, x)
        self.yl, self.yu = map(with_spec_axis, y)
        self._gap = (x[1] - x[0]) * (y[1] - y[0]) / 2.0
        self._slack = with_spec_axis(_slack(x, y))

    def start(self) -> tuple[Array, ...]:
        """Halfway between the two planes, the best fixed choice."""
        half = namespace(self.xl).full_like(self.xl, 0.5)
        return half, half

    def planes(self, parameters: tuple[Array, ...]) -> Planes:
        """Mixtures of the envelope planes."""
        p, q = parameters
        xl, xu, yl, yu = self.xl, self.xu, self.yl, self.yu
        return Planes(
            (p * yl + (1 - p) * yu, p * xl + (1 - p) * xu),
            -p * xl * yl - (1 - p) * xu * yu - self._slack,
            (q * yu + (1 - q) * yl, q * xl + (1 - q) * xu),
            -q * xl * yu - (1 - q) * xu * yl + self._slack,
        )

    def gradient(self, parameters: tuple[Array, ...], weight: Array, xs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The difference of the two planes at xs."""
        x, y = xs
        xl, xu, yl, yu = self.xl, self.xu, self.yl, self.yu
        lower = (yl - yu) * x + (xl - xu) * y - xl * yl + xu * yu
        upper = (yu - yl) * x + (xl - xu) * y - xl * yu + xu * yl
        return positive(weight) * lower, negative(weight) * upper

    def gap(self) -> Array:
        """Distance of the mixed planes at the middle of the box."""
        return self._gap


@dataclass(frozen=True, eq=False)
class Product(Nonlinear):
    """x * y for two tensors of one shape."""

    factors = (0, 1)

    @property
    def drafts(self) -> bool:
        """Yes."""
        return True

    def forward(self, *xs: Array) -> Array:
        """The product."""
        return xs[0] * xs[1]

    def vjp(self, grad: Array, *xs: Array) -> tuple[Array, ...]:
        """(y, x) * grad."""
        return grad * xs[1], grad * xs[0]

    def interval(self, *bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        """Extremes over the four corners."""
        (xl, xu), (yl, yu) = bounds
        xp = namespace(xl)
        corners = [xl * yl, xl * yu, xu * yl, xu * yu]
        low, high = corners[0], corners[0]
        for corner in corners[1:]:
            low, high = xp.minimum(low, corner), xp.maximum(high, corner)
        slack = _slack(*bounds)
        return low - slack, high + slack

    def relax(self, *bounds: tuple[Array, Array]) -> Relaxation:
        """McCormick planes."""
        return McCormick(*bounds)

    def inexact(self, *bounds: tuple[Array, Array]) -> Array:
        """Wherever both factors vary."""
        (xl, xu), (yl, yu) = bounds
        return (xu > xl) & (yu > yl)


def _slack(x: tuple[Array, Array], y: tuple[Array, Array]) -> Array:
    """What rounding may do to a sum of products of the bounds."""
    xp = namespace(x[0])
    reach = xp.maximum(abs(x[0]), abs(x[1])) * xp.maximum(abs(y[0]), abs(y[1]))
    return SLACK * roundoff(reach) * reach
