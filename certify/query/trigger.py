"""Is a trigger absent? The question whether some content of a patch makes a classifier give an image one class."""

from __future__ import annotations

import numpy as np

from certify.errors import InputError
from certify.query.region_query import box_bounds
from certify.query.syntax import Comparison, NetworkDeclaration, Query, Tensor, Variable
from certify.query.write import write_query


def trigger_spec(
    image: np.ndarray,
    patch: np.ndarray,
    content: tuple[float, float],
    target: int,
    n_classes: int,
    *,
    dtype: str = "float32",
    comment: str = "",
) -> str:
    """VNN-LIB 1.0 text: unsafe if the image, with some content of the patch, scores highest (ties too) for `target`.

    image: any shape, flattened in row-major order and cast to `dtype`, the model's input type; patch: the flat places
    of the elements that may have any value in `content`, all others are as in the image. Proved: no trigger in the
    patch sends the image to the target. Raises InputError for a target or places that there are not.
    """
    if n_classes < 2 or not 0 <= target < n_classes:
        raise InputError(f"the target {target} is not one of {n_classes} classes", "classes count from 0")
    lower = np.array(image, dtype=dtype).astype(np.float64).ravel()
    if len(patch) == 0 or patch.min() < 0 or patch.max() >= len(lower):
        raise InputError(f"the patch is not inside the {len(lower)} elements of the image")
    upper = lower.copy()
    lower[patch], upper[patch] = (float(np.asarray(side, dtype=dtype)) for side in content)
    others = (other for other in range(n_classes) if other != target)
    unsafe = tuple(Comparison(">=", Variable("Y", target, 0), Variable("Y", other, 0), 0) for other in others)
    tensors = Tensor("X", "input", dtype, (len(lower),), 0), Tensor("Y", "output", dtype, (n_classes,), 0)
    query = Query(
        file="", version="1.0", bounds=(box_bounds("X", lower, upper),), assertions=unsafe,
        networks=(NetworkDeclaration("N", tensors[:1], (), tensors[1:]),), text="", sha256="",
    )  # fmt: skip
    return write_query(query, comment=comment)
