"""What floating point may do to a bound: a running error, so that what is concluded holds for exact arithmetic.

Each linear step of a walk computes sums of products; their rounding is at most gamma(terms) times the sum of absolute
values (Higham 2002, section 3.1, any order of summation), and those are bounded by the intervals already known. The
constant below also covers the few operations per element of the nonlinear steps in between.
"""

from __future__ import annotations

import numpy as np

from certify.arrays import Array, namespace, roundoff
from certify.bounds.interval import Interval
from certify.ops.kinds import Linear, Nonlinear

# Operations per element outside of sums: slopes, products with them, additions of offsets.
ELEMENTWISE = 8


def gamma(like: Array, terms: int) -> float:
    """Relative error of a sum of so many products, doubled for the terms of second order."""
    return 2.0 * (terms + ELEMENTWISE) * roundoff(like)


def deployed(op: Linear, roundoff: float) -> float:
    """What a model that runs in arithmetic of this unit roundoff may add, relative to the sum of absolute values.

    With room for ops that were fused here and are computed one by one there, and little more than the checker's: where
    this is much more, an element that the checker knows to be stable is open here, with a slope that it has no use for.
    """
    return 1.01 * (op.summands + 24) * roundoff if op.terms else 0.0


def linear_range(op: Linear, inputs: list[Interval], roundoff: float = 0.0) -> Interval:
    """Interval arithmetic for a linear op by midpoint and radius, [batch, *shape], rounded outward where it rounds.

    roundoff: of the deployed model's arithmetic, 0 for exact one.
    """
    if op.terms == 0:  # nothing is computed, so each end becomes an end
        return Interval(op.forward(*(i.lower for i in inputs)), op.forward(*(i.upper for i in inputs)))
    share = gamma(inputs[0].lower, op.terms) + deployed(op, roundoff)
    center = op.forward(*(i.center for i in inputs))
    exact = _exact(op, inputs)
    radius = op.magnitude.linear(*(i.radius + share * reach(i) for i in inputs))
    if op.bias is not None:
        radius = radius + share * abs(op.bias)
    if exact is not None:
        radius = namespace(radius).where(exact, op.magnitude.linear(*(i.radius for i in inputs)), radius)
    return Interval(center - radius, center + radius)


def _exact(op: Linear, inputs: list[Interval]) -> Array | None:
    """Mask [batch, *shape]: where only whole numbers meet whose sums have room in the mantissa. None: nowhere.

    What is compared with a whole number (a place, a class) depends on it: the smallest slack lets both answers in.
    """
    if not op.whole:
        return None
    whole = [(i.lower == i.lower.round()) & (i.upper == i.upper.round()) for i in inputs]
    if not all(bool(mask.any()) for mask in whole):
        return None
    xp = namespace(inputs[0].lower)
    ones = (xp.ones_like(i.lower) for i in inputs)
    others = op.magnitude.linear(*(xp.where(mask, 0.0 * one, one) for mask, one in zip(whole, ones, strict=True)))
    size = op.magnitude.linear(*(reach(i) for i in inputs))
    size = size if op.bias is None else size + abs(op.bias)
    return (others == 0.0) & (size < 0.125 / roundoff(size))


def noise(op: Linear, inputs: list[Interval], roundoff: float = 0.0) -> Array | None:
    """How much one unit of coefficient on each output element may err in a walk through the op: [1, *out_shape].

    None for ops that compute nothing. The offset's sum runs over all output elements, hence their number.
    """
    if op.terms == 0:
        return None
    xp = namespace(inputs[0].lower)
    size = op.magnitude.linear(*(xp.max(reach(i), axis=0, keepdims=True) for i in inputs))
    if op.bias is not None:
        size = size + abs(op.bias)
    return (gamma(inputs[0].lower, op.terms + int(np.prod(op.out_shape))) + deployed(op, roundoff)) * size


def plane_noise(op: Nonlinear, inputs: list[Interval]) -> Array:
    """The same for a walk through the planes of a nonlinear op.

    Needed only where no linear op computes the inputs: its noise covers the few operations per element besides.
    """
    xp = namespace(inputs[0].lower)
    size = sum(xp.max(reach(i), axis=0, keepdims=True) for i in inputs)
    return gamma(inputs[0].lower, 0) * (1.0 + op.steepest * size)


def reach(interval: Interval) -> Array:
    """The largest absolute value."""
    return namespace(interval.lower).maximum(abs(interval.lower), abs(interval.upper))
