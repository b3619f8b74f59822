"""Bounds on inputs while they are collected: rows of text first, arrays at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from certify.query.assertions import Vocabulary
from certify.query.syntax import TensorBounds, Variable
from certify.query.tokens import Source, Token


class BoundRows:
    """The bounds `variable <= number` and `variable >= number` asserted on one tensor, as written."""

    def __init__(self) -> None:
        self._words: list[tuple[str, ...]] = []
        self._offsets: list[int] = []

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, token: Token) -> None:
        """Keep a bound token."""
        self._words.append(token.group(2, 3, 4))
        self._offsets.append(token.start(2) - 1)  # the parenthesis before the relation

    def finish(
        self, source: Source, tensor: str, decode: Callable[[Sequence[str]], np.ndarray], vocabulary: Vocabulary
    ) -> TensorBounds:
        """All rows as arrays; `decode` gives the flat index of each variable, or -1 where the vocabulary must judge it.

        The numbers go through the same `float` as every other constant, so both ways of reading agree bit for bit.
        """
        relations, variables, numbers = zip(*self._words, strict=True)
        value = np.array(list(map(float, numbers)))
        for row in np.flatnonzero(np.isinf(value) | (value == 0.0)):
            source.finite(numbers[row], source.code.index(numbers[row], self._offsets[row]))
        index = decode(variables)
        for row in np.flatnonzero(index < 0):
            variable = vocabulary.term(variables[row], source.code.index(variables[row], self._offsets[row]))
            assert isinstance(variable, Variable)
            index[row] = variable.index
        return TensorBounds(tensor, index, np.array(relations) == "<", value, np.array(self._offsets))
