"""Einsum of one or two operands, as a matrix product between transpositions and sums."""

from __future__ import annotations

import numpy as np

from certify.ops.dense import matmul
from certify.ops.layout import permute, reshape
from certify.ops.reduce import SumOver
from certify.ops.registry import Builder, Example, NodeSpec, Operand, Value, register


class Labelled:
    """An operand and the letter of each of its axes."""

    def __init__(self, build: Builder, tensor: Value | np.ndarray, labels: str) -> None:
        """labels: one different letter per axis."""
        self.build, self.tensor, self.labels = build, tensor, labels

    @property
    def sizes(self) -> dict[str, int]:
        """Length by letter."""
        return dict(zip(self.labels, self.tensor.shape, strict=True))

    def summed(self, keep: str) -> Labelled:
        """The sum over all letters that are not kept."""
        gone = tuple(i for i, letter in enumerate(self.labels) if letter not in keep)
        labels = "".join(letter for letter in self.labels if letter in keep)
        if not gone:
            return self
        if not isinstance(self.tensor, Value):
            return Labelled(self.build, self.tensor.sum(axis=gone), labels)
        shape, rank = self.tensor.shape, len(self.labels)
        kept = tuple(1 if i in gone else n for i, n in enumerate(shape))
        total = self.build.emit(SumOver((shape,), kept, tuple(i - rank for i in gone)), self.tensor)
        return Labelled(self.build, total, self.labels).shaped(
            tuple(n for i, n in enumerate(shape) if i not in gone), labels
        )

    def ordered(self, labels: str) -> Labelled:
        """Axes in another order."""
        order = tuple(self.labels.index(letter) for letter in labels)
        if isinstance(self.tensor, Value):
            return Labelled(self.build, permute(self.build, self.tensor, order), labels)
        return Labelled(self.build, self.tensor.transpose(order), labels)

    def shaped(self, shape: tuple[int, ...], labels: str) -> Labelled:
        """Under another shape and other letters."""
        if isinstance(self.tensor, Value):
            return Labelled(self.build, reshape(self.build, self.tensor, shape), labels)
        return Labelled(self.build, self.tensor.reshape(shape), labels)


def _terms(node: NodeSpec) -> tuple[list[str], str]:
    """The letters of each operand and of the output."""
    equation = str(node.attributes["equation"]).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted({letter for letter in left if letter.isalpha()})
        right = "".join(letter for letter in letters if left.count(letter) == 1)
    if "." in equation or any(len(set(term)) < len(term) for term in (*terms, right)):
        raise node.unsupported(f"the equation '{equation}' has an ellipsis or a diagonal")
    return terms, right


def _product(node: NodeSpec, build: Builder, a: Labelled, b: Labelled, out: str) -> Labelled:
    """The sum over all letters that both have and the output has not."""
    sizes = {**a.sizes, **b.sizes}
    stack = [x for x in a.labels if x in b.labels and x in out]
    shared = [x for x in a.labels if x in b.labels and x not in out]
    rows, columns = [x for x in a.labels if x not in b.labels], [x for x in b.labels if x not in a.labels]

    def size(letters: list[str]) -> int:
        return int(np.prod([sizes[x] for x in letters], dtype=np.int64))

    batch = tuple(sizes[x] for x in stack)
    left = a.ordered("".join([*stack, *rows, *shared])).shaped((*batch, size(rows), size(shared)), "")
    right = b.ordered("".join([*stack, *shared, *columns])).shaped((*batch, size(shared), size(columns)), "")
    value = matmul(node, build, left.tensor, right.tensor)
    labels = "".join([*stack, *rows, *columns])
    return Labelled(build, value, labels).shaped(tuple(sizes[x] for x in labels), labels)


def _operand(node: NodeSpec, build: Builder, operand: Operand, labels: str) -> Labelled:
    if operand is None or len(operand.shape) != len(labels):
        raise node.unsupported(f"an operand does not have the axes '{labels}'")
    tensor = operand if isinstance(operand, Value) else np.asarray(operand, dtype=np.float64)
    return Labelled(build, tensor, labels)


def _weights(*shape: int) -> np.ndarray:
    return np.sin(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


@register("Einsum", handled="one or two operands: linear, or McCormick planes per pair",
          examples=lambda: [Example([(2, 3)], {"equation": "ij->ji"}), Example([(2, 3)], {"equation": "ij->i"}),
                            Example([(2, 3), _weights(3, 4)], {"equation": "ij,jk->ki"}),
                            Example([_weights(2, 3), (2, 3)], {"equation": "ij,ij->i"}),
                            Example([(1, 2, 3), (1, 4, 3)], {"equation": "bqd,bkd->bqk"}),
                            Example([(2, 3), (2,)], {"equation": "ij,i"})])  # fmt: skip
def einsum(node: NodeSpec, build: Builder) -> Value:
    """Sums over the letters that the output lacks."""
    terms, out = _terms(node)
    if len(terms) > 2 or len(terms) != len(node.inputs):
        raise node.unsupported(f"{len(terms)} operands")
    operands = [_operand(node, build, x, labels) for x, labels in zip(node.inputs, terms, strict=True)]
    if len(operands) == 1:
        result = operands[0].summed(out).ordered(out).tensor
    else:
        a, b = operands
        if any(a.sizes[x] != b.sizes[x] for x in a.labels if x in b.labels):
            raise node.unsupported("operands whose sizes differ along a shared letter")
        a, b = a.summed(out + b.labels), b.summed(out + a.labels)
        result = _product(node, build, a, b, out).ordered(out).tensor
    assert isinstance(result, Value)
    return result
