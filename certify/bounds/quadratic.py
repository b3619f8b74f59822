"""Products of values that are nearly linear in few inputs, bounded together instead of one by one.

With t in [-1, 1]^n the place in a box, a factor is  x = x0 + a . t + e,  |e| <= error, where a comes from the forms
that bound x. Expanded at (x0, y0), a product is its tangent plane plus (x - x0)(y - y0), so a row's weighted sum of
products is a plane plus one quadratic form in t,

    sum_i w_i x_i y_i  =  plane  +  t' S t  +  errors,    S = sum_i w_i sym(a_i b_i').

McCormick's planes bound every product alone and from its worst corner. In S products cancel, and where S is convex
`bend` bounds it by a tangent where the row is least. Made for what is written as products but is one quadratic form:
Lyapunov functions and what they change by in a step, squared distances.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.rounding import gamma
from certify.ops.kinds import Nonlinear, Planes

Forms = Mapping[str, tuple[np.ndarray, LinearForm]]

# Numbers that the products of the factors' coefficients may take; above that every product is bounded alone.
MOST_FLOATS = 2**22


class Factor:
    """A value, flat, over each box: x = center + coefficient . t + e, |e| <= error; [batch, elements(, n)].

    low, high: bounds of x - center; reach: of |coefficient . t|; size: of |x|.
    """

    def __init__(self, value: Interval, box: Interval, found: tuple[np.ndarray, LinearForm] | None) -> None:
        """found: some elements of the value, and the forms that bound these from below, then their negatives."""
        batch, n = box.lower.shape
        lower, upper = value.lower.reshape(batch, -1), value.upper.reshape(batch, -1)
        self.center = (lower + upper) / 2.0
        self.coefficient = np.zeros((batch, lower.shape[1], n))
        self.error = np.maximum(upper - self.center, self.center - lower)
        if found is not None:
            self._follow(box, *found, lower, upper)
        self.low, self.high = lower - self.center, upper - self.center
        self.reach = abs(self.coefficient).sum(axis=2)
        self.size = np.maximum(abs(lower), abs(upper)) + abs(self.center)

    def _follow(self, box: Interval, index: np.ndarray, form: LinearForm, lower: np.ndarray, upper: np.ndarray) -> None:
        """Take centre and coefficient halfway between the two forms of each element in `index`."""
        radius, share = spread(box), gamma(box.lower, box.lower.shape[1])
        count = len(index)
        below, above = form.coefficient[:, :count], -form.coefficient[:, count:]
        middle = form.offset + _inner(form.coefficient, box.center)
        wrong = form.error + share * (abs(form.offset) + _inner(abs(form.coefficient), abs(box.center)))
        low, high = middle[:, :count], -middle[:, count:]
        center = np.clip((low + high) / 2.0, lower[:, index], upper[:, index])
        coefficient = (below + above) / 2.0 * radius[:, None]
        apart = _inner(abs(above - below) / 2.0, radius)
        error = np.maximum(high - center, center - low) + np.maximum(wrong[:, :count], wrong[:, count:]) + apart
        # What is computed here rounds once or twice itself.
        error = error + share * (abs(coefficient).sum(axis=2) + apart + abs(center) + abs(low) + abs(high))
        self.center[:, index], self.coefficient[:, index], self.error[:, index] = center, coefficient, error


def spread(box: Interval) -> np.ndarray:
    """How far each box reaches from its centre as computed, [batch, n]."""
    return box.radius + gamma(box.lower, 1) * np.maximum(abs(box.lower), abs(box.upper))


def joint_planes(
    op: Nonlinear, inputs: list[Interval], names: tuple[str, ...], box: Interval, forms: Forms
) -> Planes | None:
    """Planes of all elements of a product together; None where the op is none or has too many elements.

    forms: of values called `names`, as `intermediate_bounds` collects them. numpy only.
    """
    if op.factors is None or not isinstance(box.lower, np.ndarray):
        return None
    batch, n = box.lower.shape
    if batch * int(np.prod(op.out_shape)) * n * n > MOST_FLOATS:
        return None
    first, second = op.factors
    x = Factor(inputs[first], box, forms.get(names[first]))
    y = x if first == second else Factor(inputs[second], box, forms.get(names[second]))
    ahead, behind = (side.center.reshape(batch, 1, *op.out_shape) for side in (y, x))
    slopes = (2.0 * ahead,) if first == second else (ahead, behind)
    return Planes(slopes, None, slopes, None, Remainder(x, y))


class Remainder:
    """How far a weighted sum of products is above that of their tangent planes taken without offset, at least."""

    def __init__(self, x: Factor, y: Factor) -> None:
        """The factors, elements in the same order."""
        self.n = n = x.coefficient.shape[2]
        self._share = gamma(x.center, x.center.shape[1] + n * n)
        outer = x.coefficient[:, :, :, None] * y.coefficient[:, :, None, :]
        self._outer = ((outer + outer.swapaxes(2, 3)) / 2.0).reshape(*outer.shape[:2], n * n)
        self._constant = x.center * y.center
        size = x.size * y.size
        error = x.error * y.reach + y.error * x.reach + x.error * y.error
        self._error = error + self._share * (error + x.reach * y.reach + size)
        corners = [x.low * y.low, x.low * y.high, x.high * y.low, x.high * y.high]
        slack = self._share * size
        self._low = np.minimum.reduce(corners) - self._constant - slack
        self._high = np.maximum.reduce(corners) - self._constant + slack

    def __call__(self, weight: np.ndarray) -> np.ndarray:
        """Lower bounds [batch, rows] for weights [batch or 1, rows, *shape], rounding taken off.

        The better of two: element by element of S, with t_i^2 in [0, 1] and t_i t_j in [-1, 1], or product by product.
        """
        form, offset = self.form(weight)
        total, diagonal = abs(form).sum(axis=(2, 3)), np.einsum("brii->bri", form)
        together = np.minimum(diagonal, 0.0).sum(axis=2) + abs(diagonal).sum(axis=2) - (1.0 + self._share) * total
        weight = weight.reshape(*weight.shape[:2], -1)
        apart = _inner(np.maximum(weight, 0.0), self._low) + _inner(np.minimum(weight, 0.0), self._high)
        return np.maximum(together + offset, apart)

    def form(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(S, offset), [batch, rows, n, n] and [batch, rows]: the remainder is  t' S t + offset  at least."""
        weight = weight.reshape(*weight.shape[:2], -1)
        form = (weight @ self._outer).reshape(len(self._constant), -1, self.n, self.n)
        return form, -_inner(weight, self._constant) - _inner(abs(weight), self._error)


def _inner(weight: np.ndarray, value: np.ndarray) -> np.ndarray:
    """[batch or 1, rows, k] . [batch, k] -> [batch, rows]."""
    return (weight @ value[:, :, None])[:, :, 0]
