"""Numpy-like arrays of expressions over the tensors of networks; comparing them gives conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np

from certify.errors import InputError
from certify.query.conditions import Condition, check_broadcast, element
from certify.query.linear import MAX_DEGREE
from certify.query.scalars import Element, Scalar, Source, compared, constant, largest
from certify.query.syntax import Constant, Relation


class Expression:
    """An array of polynomials over elements of tensors. Nothing is computed: `x + 1` is what the property says.

    Supported: indexing and slicing, + - * with numbers, arrays and expressions, @ with matrices, whole powers, abs,
    sum, max, min, reshape; comparisons, which give a `Condition`. Shapes follow numpy, except that no comparison or
    operation may pair an element of the one side with several of the other unless that other is a single one.
    """

    __array_ufunc__ = None  # numpy leaves operators to this class
    __slots__ = ("items",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, items: Any) -> None:
        """items: an object array of `Scalar`, or one of these."""
        self.items = np.asarray(items, dtype=object)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, () for a single expression."""
        return self.items.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.items.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.items.size

    @property
    def T(self) -> Expression:  # noqa: N802 - as numpy calls it
        """The transpose."""
        return Expression(self.items.T)

    def __len__(self) -> int:
        if not self.shape:
            raise InputError("this is a single expression, not an array")
        return self.shape[0]

    def __iter__(self) -> Iterator[Expression]:
        return (Expression(self.items[i]) for i in range(len(self)))

    def __getitem__(self, index: Any) -> Expression:
        return Expression(element(self.items, index, "this expression"))

    def __bool__(self) -> NoReturn:
        raise InputError("an expression over a network has no truth value in Python", "compare it first")

    def __repr__(self) -> str:
        return f"<expression {list(self.shape)}>"

    def reshape(self, *shape: Any) -> Expression:
        """The same elements in another shape, in row-major order."""
        try:
            return Expression(self.items.reshape(*shape))
        except (ValueError, TypeError) as error:
            raise InputError(f"an expression of shape {list(self.shape)}: {error}") from None

    def ravel(self) -> Expression:
        """All elements in row-major order, as one axis."""
        return Expression(self.items.ravel())

    def without(self, *places: int) -> Expression:
        """All elements but those at these places of the raveled array (from 0, negative from the end), as one axis."""
        flat = self.ravel()
        for place in places:
            flat[place]
        return flat[sorted(set(range(self.size)) - {place % self.size for place in places})]

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Expression:
        """The sum of all elements, or along an axis."""
        return self._reduced(np.add.reduce, axis)

    def max(self, axis: int | tuple[int, ...] | None = None) -> Expression:
        """The largest of all elements, or along an axis."""
        return self._reduced(lambda items, axis: _along(items, axis, largest), axis)

    def min(self, axis: int | tuple[int, ...] | None = None) -> Expression:
        """The smallest of all elements, or along an axis."""
        return -(-self).max(axis)

    def __add__(self, other: Any) -> Expression:
        return Expression(np.add(*self._both(other)))

    def __radd__(self, other: Any) -> Expression:
        return Expression(np.add(*reversed(self._both(other))))

    def __sub__(self, other: Any) -> Expression:
        return Expression(np.subtract(*self._both(other)))

    def __rsub__(self, other: Any) -> Expression:
        return Expression(np.subtract(*reversed(self._both(other))))

    def __mul__(self, other: Any) -> Expression:
        return Expression(np.multiply(*self._both(other)))

    def __rmul__(self, other: Any) -> Expression:
        return Expression(np.multiply(*reversed(self._both(other))))

    def __matmul__(self, other: Any) -> Expression:
        return self._matrix_product(self.items, _items(other))

    def __rmatmul__(self, other: Any) -> Expression:
        return self._matrix_product(_items(other), self.items)

    def __truediv__(self, other: Any) -> Expression:
        for item in _items(other).ravel():
            divisor = item.base.value if isinstance(item.base, Constant) and not item.extremes else 0.0
            if abs(math.frexp(divisor)[0]) != 0.5:
                hint = "multiply the other side of the comparison instead"
                raise InputError("only division by a power of two is exact in VNN-LIB, which has no division", hint)
        reciprocal = np.frompyfunc(lambda item: constant(1.0 / item.base.value), 1, 1)
        return self * Expression(reciprocal(_items(other)))

    def __rtruediv__(self, other: Any) -> NoReturn:
        raise InputError("VNN-LIB has no division by a variable", "multiply both sides of the comparison")

    def __pow__(self, exponent: Any) -> Expression:
        if not isinstance(exponent, int | np.integer) or not 1 <= exponent <= MAX_DEGREE:
            raise InputError(f"the exponent {exponent!r} is not a whole number from 1 to {MAX_DEGREE}")
        power = self
        for _ in range(int(exponent) - 1):
            power = power * self
        return power

    def __neg__(self) -> Expression:
        return Expression(np.negative(self.items))

    def __pos__(self) -> Expression:
        return self

    def __abs__(self) -> Expression:
        return Expression(np.absolute(self.items))

    def __le__(self, other: Any) -> Condition:
        return self._compare("<=", other)

    def __lt__(self, other: Any) -> Condition:
        return self._compare("<", other)

    def __ge__(self, other: Any) -> Condition:
        return self._compare(">=", other)

    def __gt__(self, other: Any) -> Condition:
        return self._compare(">", other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare("!=", other)

    def _compare(self, relation: Relation, other: Any) -> Condition:
        return Condition(np.frompyfunc(lambda a, b: compared(relation, a, b), 2, 1)(*self._both(other)))

    def _both(self, other: Any) -> tuple[np.ndarray, np.ndarray]:
        """The two sides of an operation, shapes checked."""
        others = _items(other)
        shape = check_broadcast(self.items, others)
        if not isinstance(other, Expression) and 1 < self.size < math.prod(shape):
            message = f"an expression of shape {list(self.shape)} is set against an array of shape {list(others.shape)}"
            raise InputError(f"{message}, several numbers for each element", "take one row of the array")
        return self.items, others

    def _matrix_product(self, a: np.ndarray, b: np.ndarray) -> Expression:
        try:
            return Expression(np.matmul(a, b))
        except (ValueError, TypeError):
            message = f"the shapes {list(a.shape)} and {list(b.shape)} do not fit a matrix product"
            raise InputError(message, "the last axis of the left side meets the last but one of the right") from None

    def _reduced(self, reduce: Any, axis: int | tuple[int, ...] | None) -> Expression:
        axes = tuple(range(self.ndim)) if axis is None else axis
        try:
            return Expression(reduce(self.items, axis=axes))
        except (ValueError, TypeError) as error:
            raise InputError(f"an expression of shape {list(self.shape)} has no axis {axis}: {error}") from None


def tensor(source: Source) -> Expression:
    """All elements of a tensor, in its shape."""
    elements = [Scalar(Element(source.onnx_name, index, 0, source)) for index in range(math.prod(source.shape))]
    items = np.empty(len(elements), dtype=object)
    items[:] = elements
    return Expression(items.reshape(source.shape))


def _items(value: Any) -> np.ndarray:
    """The object array of scalars that a value stands for. Raises InputError for what is no number or expression."""
    if isinstance(value, Expression):
        return value.items
    if isinstance(value, Condition):
        raise InputError("a condition is no number", "combine conditions with & and |")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        raise InputError(f"{value!r} is no array of numbers", "use numbers, numpy arrays or expressions") from None
    if array.dtype.kind == "O" and any(isinstance(item, Expression) for item in array.ravel()):
        return _items_of_list(array)
    if array.dtype.kind not in "fiuO" or not array.size:
        hint = "use numbers, numpy arrays or expressions"
        raise InputError(f"an array of type {array.dtype} and shape {list(array.shape)} is no array of numbers", hint)
    found = np.frompyfunc(constant, 1, 1)(array.astype(object) if array.dtype.kind in "iu" else array)
    return np.asarray(found, dtype=object)


def _items_of_list(array: np.ndarray) -> np.ndarray:
    """Scalars for a list that mixes numbers and single expressions."""
    found = np.empty(array.size, dtype=object)
    for place, value in enumerate(array.ravel()):
        items = _items(value)
        if items.size != 1:
            raise InputError("a list of expressions holds single ones only", "compare the arrays themselves")
        found[place] = items.item()
    return found.reshape(array.shape)


def _along(items: np.ndarray, axis: Any, combine: Any) -> np.ndarray:
    """What combine makes of the elements along the axes."""
    axes = np.atleast_1d(np.asarray(axis, dtype=int)).tolist()
    if not axes:
        return items
    kept = np.moveaxis(items, axes, range(-len(axes), 0))
    rows = kept.reshape(-1, math.prod(kept.shape[kept.ndim - len(axes) :]))
    found = np.empty(len(rows), dtype=object)
    for place, row in enumerate(rows):
        found[place] = combine(list(row))
    return found.reshape(kept.shape[: kept.ndim - len(axes)])
