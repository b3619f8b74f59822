"""What must hold of every linear op, as functions that raise AssertionError where it does not."""

from __future__ import annotations

import numpy as np
from op_cases import assert_equal_arrays, put

from certify.arrays import Library, to_numpy
from certify.ops.kinds import Linear

LEADING = [(), (3,), (2, 3)]


def matrices(op: Linear) -> list[np.ndarray]:
    """The op's matrices, one per input, [n_out, n_in], column by column through `linear` (numpy)."""
    found = []
    for position, shape in enumerate(op.in_shapes):
        size = int(np.prod(shape, dtype=int))
        xs = [np.zeros((size, *s)) for s in op.in_shapes]
        xs[position] = np.eye(size).reshape(size, *shape)
        found.append(op.linear(*xs).reshape(size, -1).T)
    return found


def check_adjoint(op: Linear, library: Library, rng: np.random.Generator) -> None:
    """The dot-product test: <linear(x), y> = <x, adjoint(y)>, for several leading axes."""
    moved = op.on(library)
    for leading in LEADING:
        xs = [rng.normal(size=leading + shape) for shape in op.in_shapes]
        y = rng.normal(size=leading + op.out_shape)
        forth = to_numpy(moved.linear(*put(library, *xs)))
        back = [to_numpy(part) for part in moved.adjoint(*put(library, y))]
        assert forth.shape == y.shape
        assert [part.shape for part in back] == [x.shape for x in xs]
        over_ops = tuple(range(len(leading), y.ndim))
        left = (forth * y).sum(axis=over_ops)
        right = sum((x * part).sum(axis=tuple(range(len(leading), x.ndim))) for x, part in zip(xs, back, strict=True))
        terms = sum(
            (abs(x) * abs(part)).sum(axis=tuple(range(len(leading), x.ndim))) for x, part in zip(xs, back, strict=True)
        )
        # Two orders of summation differ by rounding: some units in the last place of the terms' sum.
        assert (abs(left - right) <= 1e-13 * (1.0 + terms)).all()


def check_leading_axes(op: Linear, library: Library, rng: np.random.Generator) -> None:
    """Each slice along the leading axes is treated on its own."""
    moved = op.on(library)
    xs = [rng.normal(size=(2, 3, *shape)) for shape in op.in_shapes]
    together = to_numpy(moved.forward(*put(library, *xs)))
    for i in range(2):
        for j in range(3):
            assert_equal_arrays(together[i, j], moved.forward(*put(library, *(x[i, j] for x in xs))))


def check_matrix(op: Linear, rng: np.random.Generator) -> None:
    """forward is the matrices' product plus the bias; adjoint is their transposes' product."""
    xs = [rng.normal(size=shape) for shape in op.in_shapes]
    y = rng.normal(size=op.out_shape)
    bias = 0.0 if op.bias is None else np.broadcast_to(op.bias, op.out_shape).reshape(-1)
    expected = sum(A @ x.reshape(-1) for A, x in zip(matrices(op), xs, strict=True)) + bias
    assert_equal_arrays(op.forward(*xs).reshape(-1), expected)
    for part, A in zip(op.adjoint(y), matrices(op), strict=True):
        assert_equal_arrays(part.reshape(-1), A.T @ y.reshape(-1))


def check_absolute(op: Linear) -> None:
    """`absolute` has the matrices' absolute values, and no bias."""
    for A, B in zip(matrices(op), matrices(op.absolute()), strict=True):
        np.testing.assert_array_equal(abs(A), B)
    assert op.absolute().bias is None


def check_rows(op: Linear, library: Library) -> None:
    """`rows` are the matrices' rows, for all elements in order and for some out of order."""
    size = int(np.prod(op.out_shape, dtype=int))
    for index in (np.arange(size), np.array([size - 1, 0])):
        for part, A, shape in zip(op.on(library).rows(index, library), matrices(op), op.in_shapes, strict=True):
            assert_equal_arrays(part, A[index].reshape(len(index), *shape))


def check_terms(op: Linear) -> None:
    """`terms` counts at least the products and summands of each element, forth and back; moving costs nothing."""
    forth = np.hstack(matrices(op))
    in_row, in_column = (forth != 0.0).sum(axis=1).max(), max((A != 0.0).sum(axis=0).max() for A in matrices(op))
    if in_row > 1 or in_column > 1 or not np.isin(forth, (-1.0, 0.0, 1.0)).all():
        assert op.terms >= max(in_row, in_column)


def exact_interval(op: Linear, lower: list[np.ndarray], upper: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The range of each output on the box, by sign of each entry of the matrices; bounds [boxes, *in_shape] each."""
    boxes = len(lower[0])
    low, high = 0.0, 0.0
    for A, lo, hi in zip(matrices(op), lower, upper, strict=True):
        lo, hi = lo.reshape(boxes, -1), hi.reshape(boxes, -1)
        low = low + lo @ np.maximum(A, 0.0).T + hi @ np.minimum(A, 0.0).T
        high = high + hi @ np.maximum(A, 0.0).T + lo @ np.minimum(A, 0.0).T
    bias = 0.0 if op.bias is None else np.broadcast_to(op.bias, op.out_shape).reshape(-1)
    return (low + bias).reshape(boxes, *op.out_shape), (high + bias).reshape(boxes, *op.out_shape)
