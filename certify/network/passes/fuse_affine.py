"""Chains of linear ops become one op where that is no more work: batch norm into convolution, bias into matrix, ..."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from certify.network.graph import Network, Node
from certify.ops.conv import Conv
from certify.ops.dense import Dense
from certify.ops.kinds import Linear, Op
from certify.ops.layout import Reshape
from certify.ops.scale import ScaleShift


def fuse_affine(network: Network) -> Network:
    """Requires: nothing. Ensures: no single-consumer chain of two linear ops that `compose` can join remains."""
    nodes = list(network.nodes)
    while True:
        joined = _fuse_once(network.with_nodes(nodes))
        if len(joined) == len(nodes):
            return network.with_nodes(joined)
        nodes = joined


def _fuse_once(network: Network) -> list[Node]:
    """One sweep: each node absorbs its predecessor where possible."""
    current: dict[str, Node] = {}
    for node in network.nodes:
        while len(node.inputs) == 1 and isinstance(node.op, Linear):
            before = current.get(node.inputs[0])
            if before is None or len(before.inputs) != 1 or len(network.consumers[before.name]) != 1:
                break
            op = compose(before.op, node.op)
            if op is None:
                break
            del current[before.name]
            node = replace(node, op=op, inputs=before.inputs, source=node.source or before.source)
        current[node.name] = node
    return list(current.values())


def compose(first: Op, second: Op) -> Linear | None:
    """The op x -> second(first(x)), or None where no single op of ours is as cheap as the two."""
    if isinstance(first, Reshape) and isinstance(second, Reshape):
        return Reshape(first.in_shapes, second.out_shape)
    if isinstance(first, ScaleShift) and isinstance(second, ScaleShift):
        return _scale_scale(first, second)
    if isinstance(first, Dense) and isinstance(second, ScaleShift):
        return _dense_scale(first, second)
    if isinstance(first, ScaleShift) and isinstance(second, Dense):
        return _scale_dense(first, second)
    if isinstance(first, Dense) and isinstance(second, Dense):
        return _dense_dense(first, second)
    if isinstance(first, Conv) and isinstance(second, ScaleShift):
        return _conv_scale(first, second)
    if isinstance(first, ScaleShift) and isinstance(second, Reshape):
        return _scale_reshape(first, second)
    return None


def _shift(op: Dense | ScaleShift | Conv, size: int) -> np.ndarray:
    return np.zeros(size) if op.shift is None else np.broadcast_to(op.shift, size)


def _scale_scale(first: ScaleShift, second: ScaleShift) -> ScaleShift:
    shift = None if first.shift is None else first.shift * second.scale
    if second.shift is not None:
        shift = second.shift if shift is None else shift + second.shift
    # numpy makes plain numbers of products of scalars.
    shift = None if shift is None else np.asarray(shift)
    return ScaleShift(first.in_shapes, second.out_shape, np.asarray(first.scale * second.scale), shift)


def _per_feature(op: ScaleShift, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(scale, shift), [n] each, if they only vary along the last axis and nothing is broadcast."""
    if op.in_shapes[0] != op.out_shape:
        return None
    parts = [op.scale, np.zeros(1) if op.shift is None else op.shift]
    if any(part.size != part.shape[-1] for part in parts if part.ndim):
        return None
    scale, shift = (np.broadcast_to(part.reshape(-1), n) for part in parts)
    return scale, shift


def _dense_scale(first: Dense, second: ScaleShift) -> Dense | None:
    parts = _per_feature(second, first.out_shape[-1])
    if parts is None:
        return None
    scale, shift = parts
    return replace(first, weight=scale[:, None] * first.weight, shift=scale * _shift(first, len(scale)) + shift)


def _scale_dense(first: ScaleShift, second: Dense) -> Dense | None:
    parts = _per_feature(first, second.weight.shape[1])
    if parts is None:
        return None
    scale, shift = parts
    bias = second.weight @ shift + _shift(second, second.weight.shape[0])
    return replace(second, weight=second.weight * scale, shift=bias)


def _dense_dense(first: Dense, second: Dense) -> Dense | None:
    n_out, n_mid = second.weight.shape
    n_in = first.weight.shape[1]
    if n_out * n_in > n_out * n_mid + n_mid * n_in:
        return None
    bias = second.weight @ _shift(first, n_mid) + _shift(second, n_out)
    return Dense(first.in_shapes, second.out_shape, second.weight @ first.weight, bias)


def _conv_scale(first: Conv, second: ScaleShift) -> Conv | None:
    """Only a scale and shift that are constant over each channel."""
    if first.out_shape != second.out_shape:
        return None
    rank, channels = len(first.out_shape), first.out_shape[1]
    parts = []
    for part in (second.scale, np.zeros(1) if second.shift is None else second.shift):
        full = part.reshape((1,) * (rank - part.ndim) + part.shape)
        if full.size != list(full.shape)[1]:
            return None
        parts.append(np.broadcast_to(full.reshape(-1), channels))
    scale, shift = parts
    weight = first.weight * scale.reshape((-1,) + (1,) * (rank - 1))
    return replace(first, weight=weight, shift=scale * _shift(first, channels) + shift)


def _scale_reshape(first: ScaleShift, second: Reshape) -> ScaleShift | Linear | None:
    """A scalar scale commutes with a reshape; done only where that leaves one op."""
    if first.scale.size == 1 and first.shift is None and float(first.scale.reshape(-1)[0]) == 1.0:
        return Reshape(first.in_shapes, second.out_shape) if first.in_shapes[0] == first.out_shape else None
    return None
