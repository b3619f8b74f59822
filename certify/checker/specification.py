"""Reading VNN-LIB 1.0: the cases of the negated property, each a box and a formula over linear atoms.

An input and an output satisfy the specification (which describes what must not happen) exactly if they satisfy some
case: the input lies in the case's box and its formula holds. Numbers are fractions until a box is rounded outward.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np

from certify.checker.arithmetic import below
from certify.checker.network import read_file
from certify.checker.outcome import Malformed, Unsupported

# A formula is an int (the number of an atom), or ("and" | "or", parts).
Formula = int | tuple[str, tuple[Any, ...]]
# Coefficients by variable (inputs, then outputs), right-hand side, whether equality is allowed.
Atom = tuple[tuple[tuple[int, Fraction], ...], Fraction, bool]
TRUE: Formula = ("and", ())
FALSE: Formula = ("or", ())
NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
MOST_CASES = 200_000
MOST_CLAUSES = 20_000
# Stands for a variable that is always 1.
ONE = -1


@dataclass(frozen=True)
class Case:
    """lower, upper: [inputs] float64, rounded outward, not empty; sides: the same as they are written."""

    lower: np.ndarray
    upper: np.ndarray
    formula: Formula
    sides: tuple[tuple[Fraction, Fraction], ...]


@dataclass(frozen=True)
class Specification:
    """Atom i holds where  outputs[i] . y + inputs[i] . x - rhs[i] <= 0  (or < 0, which implies it).

    tree: the assertions as they were read; exact: the atoms before the right-hand sides were rounded up.
    """

    tree: Any
    exact: list[Atom]
    cases: list[Case]
    outputs: np.ndarray
    inputs: np.ndarray
    rhs: np.ndarray
    sha256: str


def read_specification(path: Path, n_inputs: int, n_outputs: int, halves: bool = False) -> Specification:
    """The specification of a network with so many inputs and outputs.

    halves: with two cases instead, about the one box of all cases: some case holds, and no case holds.
    """
    data = read_file(path)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{path} is not text") from error
    return _Reader(n_inputs, n_outputs).read(text, hashlib.sha256(data).hexdigest(), halves)


def parse(text: str) -> list[Any]:
    """The s-expressions of a text, as nested lists of words."""
    stack: list[list[Any]] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", re.sub(r";[^\n]*", "", text)):
        if word == "(":
            stack.append([])
        elif word == ")":
            if len(stack) == 1:
                raise Malformed("a closing parenthesis too many")
            stack[-2].append(stack.pop())
        else:
            stack[-1].append(word)
    if len(stack) != 1:
        raise Malformed("a closing parenthesis is missing")
    return stack[0]


@dataclass(frozen=True)
class Bound:
    """x[index] <= value, or >= value; closed: whether the value itself is allowed."""

    index: int
    upper: bool
    value: Fraction
    closed: bool


class _Reader:
    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        self.n_inputs, self.n_outputs = n_inputs, n_outputs
        self.declared: dict[str, int] = {}
        self.closed = True
        # Numbers in the order of first use.
        self.atoms: dict[Atom, int] = {}

    def read(self, text: str, sha256: str, halves: bool) -> Specification:
        trees = []
        for item in parse(text):
            if not isinstance(item, list) or not item:
                raise Malformed(f"{item!r} is no statement")
            if item[0] == "declare-const" and len(item) == 3:
                self._declare(str(item[1]), item[2])
            elif item[0] == "assert" and len(item) == 2:
                trees.append(self._tree(item[1]))
            else:
                raise Unsupported(f"the statement {item[0]!r}")
        if len(self.declared) != self.n_inputs + self.n_outputs:
            raise Malformed("the declared variables are not the network's inputs and outputs")
        tree = "and", tuple(trees)
        cases = list(self._cases(tree))
        cases = self._halves(cases) if halves else cases
        outputs, inputs, rhs = self._arrays()
        return Specification(tree, list(self.atoms), cases, outputs, inputs, rhs, sha256)

    def _declare(self, name: str, kind: Any) -> None:
        match = re.fullmatch(r"([XY])_(0|[1-9]\d*)", name)
        if match is None or kind != "Real":
            raise Unsupported(f"the declaration of {name!r}")
        first, count = (0, self.n_inputs) if match[1] == "X" else (self.n_inputs, self.n_outputs)
        if int(match[2]) >= count or name in self.declared:
            raise Malformed(f"{name} is declared twice, or the network has no such value")
        self.declared[name] = first + int(match[2])

    def _tree(self, item: Any) -> Any:
        """A formula whose leaves are atoms or bounds of single inputs."""
        if not isinstance(item, list) or not item or not isinstance(item[0], str):
            raise Unsupported(f"the assertion {item!r}")
        if item[0] in ("and", "or"):
            return item[0], tuple(self._tree(part) for part in item[1:])
        if item[0] not in ("<=", ">=", "<", ">") or len(item) != 3:
            raise Unsupported(f"the relation {item[0]!r}")
        sides = [self._linear(side) for side in item[1:]]
        low, high = sides if item[0] in ("<=", "<") else sides[::-1]
        total = _sum(low, high, -1)
        rhs = -total.pop(ONE, Fraction(0))
        coefficients = {k: c for k, c in sorted(total.items()) if c != 0}
        if not coefficients:
            return TRUE if rhs > 0 or (rhs == 0 and "=" in item[0]) else FALSE
        if len(coefficients) == 1 and min(coefficients) < self.n_inputs:
            ((index, c),) = coefficients.items()
            self.closed &= "=" in item[0]
            return Bound(index, c > 0, rhs / c, "=" in item[0])
        return self.atoms.setdefault((tuple(coefficients.items()), rhs, "=" in item[0]), len(self.atoms))

    def _linear(self, item: Any) -> dict[int, Fraction]:
        """Coefficients by variable; the constant is that of ONE."""
        if isinstance(item, str):
            if item in self.declared:
                return {self.declared[item]: Fraction(1)}
            if re.fullmatch(NUMBER, item):
                return {ONE: Fraction(item)}
            raise Malformed(f"{item!r} is neither a number nor declared")
        if len(item) < 2 or item[0] not in ("+", "-", "*"):
            raise Unsupported(f"the expression {item!r}")
        parts = [self._linear(part) for part in item[1:]]
        if item[0] == "-" and len(parts) == 1:
            return _sum({}, parts[0], -1)
        return reduce(_product if item[0] == "*" else _sum if item[0] == "+" else partial(_sum, sign=-1), parts)

    def _cases(self, tree: Any) -> Iterator[Case]:
        """Disjunctions with bounds of inputs inside are multiplied out; all others stay in the formula."""
        for bounds, formula in _multiplied(tree):
            ends: tuple[dict[int, Fraction], dict[int, Fraction]] = {}, {}
            for b in bounds:
                tighter, side = (min if b.upper else max), ends[b.upper]
                side[b.index] = tighter(b.value, side.get(b.index, b.value))
            if formula == FALSE:
                continue
            if min(map(len, ends)) < self.n_inputs:
                raise Unsupported("an input without bounds")
            sides = tuple((ends[0][i], ends[1][i]) for i in range(self.n_inputs))
            if all(low <= high for low, high in sides):
                lower = np.array([below(low) for low, _ in sides]) + 0.0
                yield Case(lower, np.array([-below(-high) for _, high in sides]) + 0.0, formula, sides)

    def _halves(self, cases: list[Case]) -> list[Case]:
        """That some case holds, and that none does, of which equality is a part.

        The bounds of an input that is fixed may not be strict, as nothing would be left of it.
        """
        if not self.closed or len({case.sides for case in cases}) != 1:
            raise Unsupported("a uniform law for cases that do not have one and the same closed box")
        some: Formula = ("or", tuple(case.formula for case in cases))
        return [replace(cases[0], formula=formula) for formula in (some, self._negated(some))]

    def _negated(self, formula: Formula) -> Formula:
        """What holds wherever the formula does not."""
        if isinstance(formula, int):
            coefficients, rhs, _ = list(self.atoms)[formula]
            atom = tuple((k, -c) for k, c in coefficients), -rhs, True
            return self.atoms.setdefault(atom, len(self.atoms))
        return "or" if formula[0] == "and" else "and", tuple(map(self._negated, formula[1]))

    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = np.zeros((len(self.atoms), self.n_inputs + self.n_outputs))
        rhs = np.zeros(len(self.atoms))
        for row, (coefficients, number, _) in enumerate(self.atoms):
            for k, c in coefficients:
                table[row, k] = float(c)
                if Fraction(table[row, k]) != c:
                    raise Unsupported("a coefficient that is no float64 number")
            rhs[row] = -below(-number)
        return table[:, self.n_inputs :], table[:, : self.n_inputs], rhs


def _sum(a: dict[int, Fraction], b: dict[int, Fraction], sign: int = 1) -> dict[int, Fraction]:
    """a + sign * b."""
    return {k: a.get(k, Fraction(0)) + sign * b.get(k, Fraction(0)) for k in {**a, **b}}


def _product(a: dict[int, Fraction], b: dict[int, Fraction]) -> dict[int, Fraction]:
    """a * b, one of which is a constant."""
    if not (set(a) <= {ONE} or set(b) <= {ONE}):
        raise Unsupported("products of variables")
    many, one = (a, b) if set(b) <= {ONE} else (b, a)
    return {k: c * one.get(ONE, Fraction(0)) for k, c in many.items()}


def _multiplied(tree: Any) -> list[tuple[tuple[Bound, ...], Formula]]:
    """(bounds, formula) pairs whose union the tree is; one pair, where no disjunction has a bound inside."""
    if isinstance(tree, Bound):
        return [((tree,), TRUE)]
    if isinstance(tree, int):
        return [((), tree)]
    word, parts = tree
    found = [_multiplied(part) for part in parts]
    if word == "and":
        total: list[tuple[tuple[Bound, ...], Formula]] = [((), TRUE)]
        for options in found:
            total = [(b + c, _both(f, g)) for b, f in total for c, g in options]
            if len(total) > MOST_CASES:
                raise Unsupported("too many cases")
        return total
    options = [option for part in found for option in part]
    bounded = [option for option in options if option[0]]
    free = tuple(formula for bounds, formula in options if not bounds)
    if free or not options:
        bounded.append(((), free[0] if len(free) == 1 else ("or", free)))
    return bounded


def _both(f: Formula, g: Formula) -> Formula:
    """The conjunction, flat."""
    if FALSE in (f, g):
        return FALSE
    first, second = (h[1] if isinstance(h, tuple) and h[0] == "and" else (h,) for h in (f, g))
    flat = first + second
    return flat[0] if len(flat) == 1 else ("and", flat)


def refuted(formula: Formula, margins: np.ndarray) -> np.ndarray:
    """[points] mask: the formula cannot hold, given lower bounds [points, atoms] of all margins."""
    if isinstance(formula, int):
        return margins[:, formula] > 0
    parts = [refuted(part, margins) for part in formula[1]]
    if formula[0] == "and":
        return np.any(parts, axis=0) if parts else np.zeros(len(margins), dtype=bool)
    return np.all(parts, axis=0) if parts else np.ones(len(margins), dtype=bool)


def satisfied(spec: Specification, tree: Any, values: list[Fraction]) -> bool:
    """Whether inputs and outputs, laid end to end, satisfy a part of the assertions.

    A witness consists of float64 numbers, and is compared with the float64 numbers nearest to those that are written
    down: few decimals are float64 numbers, so that it could never lie on a bound otherwise.
    """
    if isinstance(tree, Bound):
        value, bound = values[tree.index], Fraction(float(tree.value))
        return (tree.closed and value == bound) or (value < bound if tree.upper else value > bound)
    if isinstance(tree, int):
        coefficients, rhs, closed = spec.exact[tree]
        left, rhs = sum((c * values[k] for k, c in coefficients), Fraction(0)), Fraction(float(rhs))
        return left < rhs or (closed and left == rhs)
    return (all if tree[0] == "and" else any)(satisfied(spec, part, values) for part in tree[1])


def required(formula: Formula) -> list[int]:
    """Atoms that hold wherever the formula does."""
    if isinstance(formula, int):
        return [formula]
    if formula[0] == "and" or len(formula[1]) == 1:
        return sorted({atom for part in formula[1] for atom in required(part)})
    return []


def atoms_of(formula: Formula) -> list[int]:
    """All atoms of a formula, ascending."""
    return [formula] if isinstance(formula, int) else sorted({a for part in formula[1] for a in atoms_of(part)})


def clauses(formula: Formula) -> list[tuple[int, ...]]:
    """The conjunctions of atoms whose disjunction the formula is, in lexicographic order of its parts."""
    if isinstance(formula, int):
        return [(formula,)]
    found: list[tuple[int, ...]] = [] if formula[0] == "or" else [()]
    for part in formula[1]:
        inner = clauses(part)
        if formula[0] == "or":
            found = found + inner
        else:
            found = [tuple(dict.fromkeys(a + b)) for a in found for b in inner]
        if len(found) > MOST_CLAUSES:
            raise Unsupported("too many conjunctions")
    return found
