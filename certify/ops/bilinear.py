"""Matrix products of two tensors that both depend on the input: every pair of factors, then sums over what they share.

The McCormick planes are per pair, as in every linear relaxation of attention (Shi et al. 2020, Robustness verification
for transformers); the pairs [..., rows, columns, shared] are materialised.
"""

from __future__ import annotations

import numpy as np

from certify.ops.arithmetic import multiply
from certify.ops.layout import permute, reshape
from certify.ops.reduce import SumOver
from certify.ops.registry import Builder, NodeSpec, Value

# Larger products of activations would need gigabytes for one row of coefficients of a batch.
MOST_PAIRS = 2**25


def matmul_of_values(node: NodeSpec, build: Builder, a: Value, b: Value) -> Value:
    """A @ b by numpy's rules for vectors and stacks."""
    rows = a if len(a.shape) > 1 else reshape(build, a, (1, *a.shape))
    columns = transposed(build, b) if len(b.shape) > 1 else reshape(build, b, (1, *b.shape))
    if rows.shape[-1] != columns.shape[-1]:
        raise node.unsupported(f"shapes {a.shape} and {b.shape} do not fit", "check the model with onnx.checker")
    y = inner_products(node, build, rows, columns)
    shape = y.shape if len(a.shape) > 1 else (*y.shape[:-2], y.shape[-1])
    return reshape(build, y, shape if len(b.shape) > 1 else shape[:-1])


def inner_products(node: NodeSpec, build: Builder, rows: Value, columns: Value) -> Value:
    """[..., n, k] and [..., m, k] -> [..., n, m]: the inner product of each row with each column."""
    n, k = rows.shape[-2:]
    m = columns.shape[-2]
    stack = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    if int(np.prod(stack)) * n * m * k > MOST_PAIRS:
        raise node.unsupported(f"a product of {rows.shape} and {columns.shape} has too many pairs to be relaxed")
    left = reshape(build, rows, (*rows.shape[:-2], n, 1, k))
    right = reshape(build, columns, (*columns.shape[:-2], 1, m, k))
    pairs = multiply(build, left, right)
    total = build.emit(SumOver((pairs.shape,), (*pairs.shape[:-1], 1), (-1,)), pairs)
    return reshape(build, total, pairs.shape[:-1])


def transposed(build: Builder, x: Value) -> Value:
    """The last two axes exchanged."""
    rank = len(x.shape)
    return permute(build, x, (*range(rank - 2), rank - 1, rank - 2))
