"""What a query means to the solver: regions of the input, each with a boolean formula over linear atoms.

    unsafe set = union over regions of { x in box : formula(atoms(x, N(x))) }

A formula is an int (the number of an atom), or a tree of `AllOf` and `AnyOf`; there is no negation, so refuting the
formula only ever needs lower bounds of margins and no normal form is multiplied out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class AllOf:
    """True where every part is true; `AllOf(())` is true."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True where some part is true; `AnyOf(())` is false."""

    parts: tuple[Formula, ...]


Formula = int | AllOf | AnyOf
TRUE = AllOf(())
FALSE = AnyOf(())


def all_of(parts: Iterable[Formula]) -> Formula:
    """The conjunction of the parts, flat: no `AllOf` inside it, no constants, no connective around a single part."""
    flat: list[Formula] = []
    for part in parts:
        if isinstance(part, AllOf):
            flat.extend(part.parts)
        elif isinstance(part, AnyOf) and not part.parts:
            return FALSE
        else:
            flat.append(part)
    return flat[0] if len(flat) == 1 else AllOf(tuple(flat))


def any_of(parts: Iterable[Formula]) -> Formula:
    """The disjunction of the parts, as flat as `all_of` is."""
    flat: list[Formula] = []
    for part in parts:
        if isinstance(part, AnyOf):
            flat.extend(part.parts)
        elif isinstance(part, AllOf) and not part.parts:
            return TRUE
        else:
            flat.append(part)
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


@dataclass(frozen=True, eq=False)
class Atoms:
    """Linear atoms: number i holds where its margin  outputs[i] . y + inputs[i] . x - rhs[i]  is <= 0 (< 0 if strict).

    outputs: [atoms, flat outputs]; inputs: [atoms, flat inputs], or None if no atom mentions an input; rhs, strict:
    [atoms]; line: [atoms], the source line of each.
    """

    outputs: np.ndarray
    inputs: np.ndarray | None
    rhs: np.ndarray
    strict: np.ndarray
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.rhs)


@dataclass(frozen=True, eq=False)
class Region:
    """An input box (float64, [flat inputs], finite, lower <= upper) and the formula that makes a point of it unsafe."""

    lower: np.ndarray
    upper: np.ndarray
    formula: Formula


def atoms_of(formula: Formula) -> Iterator[int]:
    """The atom numbers a formula mentions, from left to right, with repetitions."""
    stack = [formula]
    while stack:
        part = stack.pop()
        if isinstance(part, int):
            yield part
        else:
            stack.extend(reversed(part.parts))
