"""Questions about two models as VNN-LIB 2.0 of two networks, for `certify check` and for any other tool."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from certify import spec
from certify.errors import InputError
from certify.query.conditions import Condition
from certify.query.expressions import Expression


class Two:
    """Both models as properties speak of them: outputs y and u, on shared inputs."""

    def __init__(self, before: str | Path, after: str | Path) -> None:
        """Read shapes and names from the files."""
        self.f, self.g = spec.network(before, "f"), spec.network(after, "g")

    def exceeds(self, lower: np.ndarray, upper: np.ndarray, distance: float) -> spec.Property:
        """Violated where |f_j - g_j| > distance for some output j, in some of the boxes [regions, n_inputs]."""
        boxes = [self._box(low, high) for low, high in zip(lower, upper, strict=True)]
        apart = [z for y, u in self._outputs for z in (y - u > distance, u - y > distance)]
        comment = f"Two networks on one input: do they differ by more than {distance!r} anywhere?"
        return spec.violation(spec.any_of(*boxes), self._shared, spec.any_of(*apart), comment=comment)

    def disagrees(
        self, lower: np.ndarray, upper: np.ndarray, tops: Sequence[int], delta: float | None = None
    ) -> spec.Property:
        """Violated where f's top class (ties: any of them) is for g no better than another class.

        tops: the classes that f may prefer there; delta: only where f's softmax gives its class at least so much, by
        what that needs: every other score lower by log(delta / (1 - delta)).
        """
        y, u = (list(side) for side in zip(*self._outputs, strict=True))
        ahead = 0.0 if delta is None else lead(delta)
        cases = []
        for top in tops:
            others = [k for k in range(len(y)) if k != top]
            first = [y[top] >= y[k] if delta is None else y[top] - y[k] >= ahead for k in others]
            cases.append(spec.all_of(*first, spec.any_of(*(u[k] >= u[top] for k in others))))
        return spec.violation(self._box(lower, upper), self._shared, spec.any_of(*cases))

    @cached_property
    def _shared(self) -> Condition:
        return spec.equal_inputs(self.f, self.g)

    @cached_property
    def _outputs(self) -> list[tuple[Expression, Expression]]:
        """Pairs of outputs."""
        first, second = (
            [element for tensor in network.outputs.values() for element in tensor.ravel()]
            for network in (self.f, self.g)
        )
        return list(zip(first, second, strict=True))

    def _box(self, lower: np.ndarray, upper: np.ndarray) -> Condition:
        """The condition that the inputs lie in a box [n_inputs]."""
        parts, start = [], 0
        for tensor in self.f.inputs.values():
            flat = tensor.ravel()
            piece = slice(start, start + flat.size)
            parts += [flat >= lower[piece], flat <= upper[piece]]
            start += flat.size
        return spec.all_of(*parts)


def lead(delta: float) -> float:
    """By how much the top score exceeds every other one, at least, where its softmax is delta or more; rounded down.

    softmax = 1 / (1 + sum exp(y_k - y_top)) >= delta  makes every term of the sum <= (1 - delta) / delta.
    Raises InputError for what is no confidence.
    """
    if not 0.0 < delta < 1.0:
        raise InputError(
            f"the confidence {delta} is not between 0 and 1", "--delta 0.9 asks where f gives its class 90 %"
        )
    exact = math.log(delta) - math.log1p(-delta)
    return exact - 1e-12 * (1.0 + abs(exact))
