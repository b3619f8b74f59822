"""The backward walk of CROWN, batched over subproblems and rows, and the forward walk that gives its gradient.

Sources: Zhang et al. 2018 (CROWN), Xu et al. 2020 (auto_LiRPA, general graphs), Wang et al. 2021 (beta-CROWN).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from certify.arrays import Array, namespace, negative
from certify.bounds.linear_form import LinearForm
from certify.network.graph import INPUT, Network
from certify.ops.kinds import Linear, Planes


@dataclass(frozen=True)
class Rows:
    """Rows to bound from below:  sum over names of coefficients[name] . value(name) + offset.

    coefficients: [batch or 1, rows, *shape] by value name; offset: [batch or 1, rows]. elements: as given to `rows_of`,
    where that made them.
    """

    coefficients: dict[str, Array]
    offset: Array
    elements: np.ndarray | None = None

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.offset.shape[1])


@dataclass(frozen=True)
class Walk:
    """What a backward walk found: the form over the input and, if kept, each relaxed node's output coefficient."""

    form: LinearForm
    weights: dict[str, Array]


def backward(
    network: Network,
    rows: Rows,
    planes: Mapping[str, Planes],
    *,
    noise: Mapping[str, Array] | None = None,
    extra: Mapping[str, Array] | None = None,
    keep: bool = False,
) -> Walk:
    """Push the rows back to the input through the given planes (by node name).

    noise: by node, see `rounding`; without it the form claims no error. extra: terms [batch, rows, *shape]
    added to the coefficient of a value when it is reached, as split constraints do.
    """
    waiting = dict(rows.coefficients)
    offset = rows.offset
    error = 0.0 * offset
    weights: dict[str, Array] = {}
    for node in reversed(network.nodes):
        weight = waiting.pop(node.name, None)
        if extra is not None and node.name in extra:
            weight = extra[node.name] if weight is None else weight + extra[node.name]
        if weight is None:
            continue
        if isinstance(node.op, Linear):
            parts = node.op.adjoint(weight)
            if node.op.bias is not None:
                offset = offset + _inner(weight, full_bias(node.op))
        else:
            if keep:
                weights[node.name] = weight
            parts, shift = _through(weight, planes[node.name])
            offset = offset + shift
        if noise is not None and node.name in noise:
            error = error + _inner(abs(weight), noise[node.name][0])
        for name, part in zip(node.inputs, parts, strict=True):
            waiting[name] = waiting[name] + part if name in waiting else part
    coefficient = waiting.get(INPUT)
    if extra is not None and INPUT in extra:
        coefficient = extra[INPUT] if coefficient is None else coefficient + extra[INPUT]
    if coefficient is None:
        xp = namespace(offset)
        coefficient = xp.zeros_like(offset)[..., None] * xp.zeros_like(offset[0, 0])
        coefficient = xp.broadcast_to(coefficient, (*offset.shape, network.n_inputs))
    return Walk(LinearForm(coefficient, offset, error), weights)


def _through(weight: Array, planes: Planes) -> tuple[tuple[Array, ...], Array | float]:
    """Coefficients of the op's inputs, and the offset: the sign of the weight picks the plane."""
    if planes.shift is not None:
        return tuple(weight * slope for slope in planes.lower_slopes), planes.shift(weight)
    below = negative(weight)
    above = weight - below
    shift: Array | float = 0.0
    if planes.lower_bias is not None:
        shift = shift + _inner(above, planes.lower_bias)
    if planes.upper_bias is not None:
        shift = shift + _inner(below, planes.upper_bias)
    parts = []
    for low, high in zip(planes.lower_slopes, planes.upper_slopes, strict=True):
        part = above * low
        part += below * high
        parts.append(part)
    return tuple(parts), shift


def _inner(weight: Array, value: Array) -> Array:
    """<weight, value> over the shape, [batch, rows]: weight [batch, rows, *shape], value [*shape] or with a batch.

    A bias broadcast over the shape ([*shape] with axes of length 1) is allowed.
    """
    rank = weight.ndim - 2
    if value.ndim > rank:
        flat = weight.reshape(weight.shape[0], weight.shape[1], -1)
        if value.shape[1] == 1 and tuple(value.shape[2:]) == tuple(weight.shape[2:]):
            column = value.reshape(value.shape[0], -1, 1)
            return (flat @ column)[..., 0]
        return namespace(weight).sum(weight * value, axis=tuple(range(2, weight.ndim)))
    xp = namespace(weight)
    shape = tuple(weight.shape[2:])
    full = xp.broadcast_to(value.reshape((1,) * (rank - value.ndim) + tuple(value.shape)), shape).reshape(-1)
    return weight.reshape(weight.shape[0], weight.shape[1], -1) @ full


def full_bias(op: Linear) -> Array:
    """The bias of an op that has one, [*out_shape]."""
    bias, shape = op.bias, op.out_shape
    assert bias is not None
    # A scalar may have an axis of length 1 where the shape has none.
    bias = bias.reshape(tuple(bias.shape[max(0, bias.ndim - len(shape)) :]))
    return namespace(bias).broadcast_to(bias, shape)


def forward_planes(
    network: Network, x: Array, planes: Mapping[str, Planes], weights: Mapping[str, Array]
) -> dict[str, Array]:
    """Inputs of every relaxed node, [batch, rows, *shape], when the relaxation itself is run on x [batch, rows, n].

    Each node applies the plane that its weight's sign chose in the backward walk, so that at the minimiser of the form
    the final value is the bound; the gradient of the bound with respect to a plane follows (no autograd).
    """
    values = {INPUT: x}
    for node in network.nodes:
        arguments = [values[name] for name in node.inputs]
        if isinstance(node.op, Linear):
            values[node.name] = node.op.forward(*arguments)
        elif node.name in weights:
            values[node.name] = _apply(planes[node.name], weights[node.name] >= 0.0, arguments)
        else:
            values[node.name] = node.op.forward(*arguments)
    return values


def _apply(planes: Planes, up: Array, arguments: list[Array]) -> Array:
    xp = namespace(up)
    low = sum(s * a for s, a in zip(planes.lower_slopes, arguments, strict=True))
    high = sum(s * a for s, a in zip(planes.upper_slopes, arguments, strict=True))
    if planes.lower_bias is not None:
        low = low + planes.lower_bias
    if planes.upper_bias is not None:
        high = high + planes.upper_bias
    return xp.where(up, low, high)


def rows_of(network: Network, name: str, index: np.ndarray) -> Rows:
    """Rows +v_i, then -v_i, for the flat elements `index` of the value `name`: both sides of each in one walk.

    index: [k] for all of a batch, or [batch, k] for each of it. The producing op is already passed through where it is
    linear, which starts the walk at its inputs: a single row and its bias are what they are. Not so where the user's
    model rounds what it computes from them, which the walk has to make room for.
    """
    library = network.library
    node = network.by_name.get(name)
    batch, flat = (index.shape[0] if index.ndim == 2 else 1), index.reshape(-1)

    def both_signs(array: Array) -> Array:
        part = array.reshape(batch, index.shape[-1], *array.shape[1:])
        return namespace(part).concat((part, -part), axis=1)

    if node is None or not isinstance(node.op, Linear) or network.roundoff:
        one_hot = np.zeros((len(flat), int(np.prod(network.shapes[name]))))
        one_hot[np.arange(len(flat)), flat] = 1.0
        coefficient = library.put(one_hot.reshape(len(flat), *network.shapes[name]))
        return Rows({name: both_signs(coefficient)}, library.put(np.zeros((batch, 2 * index.shape[-1]))), index)
    coefficients: dict[str, Array] = {}
    for source, part in zip(node.inputs, node.op.rows(flat, library), strict=True):
        coefficients[source] = coefficients[source] + part if source in coefficients else part
    bias = node.op.bias
    if bias is None:
        offset = library.put(np.zeros(len(flat)))
    else:
        full = full_bias(node.op).reshape(-1)
        offset = full[flat] if isinstance(full, np.ndarray) else full[list(flat)]
    return Rows({source: both_signs(part) for source, part in coefficients.items()}, both_signs(offset), index)
