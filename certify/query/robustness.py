"""The most common question: is a classifier's answer the same on a whole neighbourhood of an input?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from certify.errors import InputError
from certify.query.region_query import box_bounds
from certify.query.syntax import Comparison, Connective, NetworkDeclaration, Query, Tensor, Variable, Version
from certify.query.write import write_query


def robust_spec(
    center: np.ndarray,
    eps: float,
    label: int,
    n_classes: int,
    *,
    clip: tuple[float, float] | None = None,
    version: Version = "1.0",
    dtype: str = "float32",
    shape: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    comment: str = "",
) -> str:
    """VNN-LIB text: unsafe if within `eps` (maximum norm) of `center` another class scores at least as high as `label`.

    center: any shape, flattened in row-major order; clip: the range inputs may have, such as (0, 1) for pixels;
    dtype: the model's input type, float32 or float64. Version 2.0 declares `shape`, by default that of `center`, and
    `output_shape`, by default [1, n_classes].

    The bounds are elements of `dtype` themselves, the outermost within `eps`: the box contains exactly those inputs
    the model can be given that are in the ball, and no cast to `dtype` moves its corners.
    Raises InputError where there is no such box.
    """
    if n_classes < 2:
        raise InputError("robustness is about two classes or more, this model has a single score")
    if not 0 <= label < n_classes:
        raise InputError(f"label {label} is not one of {n_classes} classes", "labels count from 0")
    lower, upper = ball_box(np.asarray(center, dtype=dtype).astype(np.float64).ravel(), eps, clip, dtype)
    size = len(lower)
    shape = tuple(shape if shape is not None else np.shape(center))
    if math.prod(shape) != size:
        raise InputError(f"the shape {list(shape)} does not fit the {size} elements of the input")
    output_shape = tuple(output_shape if output_shape is not None else (1, n_classes))
    others = [
        Comparison(">=", Variable("Y", other, 0), Variable("Y", label, 0), 0)
        for other in range(n_classes)
        if other != label
    ]
    query = Query(
        file="", version=version,
        bounds=(box_bounds("X", lower, upper),), assertions=(Connective("or", tuple(others), 0),),
        networks=(
            NetworkDeclaration(
                "N", (Tensor("X", "input", dtype, shape, 0),), (), (Tensor("Y", "output", dtype, output_shape, 0),)
            ),
        ),
        text="", sha256="",
    )  # fmt: skip
    return write_query(query, comment=comment)


def ball_box(
    center: np.ndarray, eps: float, clip: tuple[float, float] | None, dtype: str
) -> tuple[np.ndarray, np.ndarray]:
    """The outermost elements of `dtype` within `eps` of the center [n] and within `clip`, as float64 [n] each.

    Raises InputError where there are none.
    """
    if not (eps >= 0 and math.isfinite(eps)):
        raise InputError(f"the radius {eps} is not a finite number of at least 0")
    lower = _smallest_from(*_exact_sum(center, -eps), dtype)
    upper = -_smallest_from(*_exact_sum(-center, -eps), dtype)
    if clip is not None:
        low, high = np.array([clip[0]], dtype=np.float64), np.array([clip[1]], dtype=np.float64)
        lower = np.maximum(lower, _smallest_from(low, np.zeros(1), dtype))
        upper = np.minimum(upper, -_smallest_from(-high, np.zeros(1), dtype))
    usable = (lower <= upper) & np.isfinite(lower) & np.isfinite(upper)
    if not usable.all():
        index = int(np.flatnonzero(~usable)[0])
        raise InputError(
            f"no input is within {eps} of element {index} = {float(center[index])!r} of the input and within the range",
            "the input must be finite and in the range given by clip: is it scaled like the training data?",
        )
    return lower + 0.0, upper + 0.0


def _exact_sum(a: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """The sum rounded to float64, and the error of that rounding (Knuth's two-sum)."""
    total = a + b
    b_part = total - a
    return total, (a - (total - b_part)) + (b - b_part)


def _smallest_from(value: np.ndarray, error: np.ndarray, dtype: str) -> np.ndarray:
    """The smallest element of `dtype` that is at least value + error, where |error| is below half a unit of value."""
    rounded = value.astype(dtype)
    wide = rounded.astype(np.float64)
    too_small = (wide < value) | ((wide == value) & (error > 0))
    return np.where(too_small, np.nextafter(rounded, np.asarray(np.inf, dtype=dtype)).astype(np.float64), wide)
