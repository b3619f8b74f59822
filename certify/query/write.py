"""Queries as VNN-LIB text, in the part of the language that every tool known to us reads alike.

Version 1.0: the core dialect, one comparison per statement or (or (and ...) ...). Version 2.0: decimals with a fraction
and no exponent, `==`, variable before constant, connectives with two operands or more. What is written lowers to the
same unsafe set, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from certify.errors import InputError
from certify.query.linear import MIRRORED, Constraint, Linearizer, nearest
from certify.query.syntax import (
    Arithmetic,
    Assertion,
    Comparison,
    Connective,
    Constant,
    Query,
    Tensor,
    Term,
    Variable,
    Version,
)
from certify.query.typecheck import INTEGERS


def write_query(query: Query, *, version: Version | None = None, comment: str = "") -> str:
    """The query as text, by default in its own version. Replace its tensors first for other shapes or types.

    Raises InputError for what the core dialect of 1.0 cannot say.
    """
    writer = _WriterV1(query) if (version or query.version) == "1.0" else _WriterV2(query)
    lines = [f"; {line}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, *writer.statements()]) + "\n"


class _WriterV2:
    def __init__(self, query: Query) -> None:
        self._query = query
        self._tensors = {tensor.name: tensor for tensor in query.tensors()}

    def statements(self) -> Iterator[str]:
        """The header, the declarations, the bounds, the other assertions."""
        yield f"(vnnlib-version <{'2.1' if any(t.initialized for t in self._query.inputs) else '2.0'}>)"
        for network in self._query.networks:
            yield f"(declare-network {network.name or 'N'}"
            if network.like:
                yield f"  ({network.like[0]} {network.like[1]})"
            for tensor in network.inputs + network.computed:
                shape = ",".join(map(str, tensor.shape))
                value = f" {_quoted(tensor.value)}" if tensor.role == "hidden" else ""
                value = " initialized" if tensor.initialized else value
                yield f"  (declare-{tensor.role} {tensor.name} {tensor.dtype} [{shape}]{value})"
            yield ")"
        for bounds in self._query.bounds:
            names = _element_names(self._tensors[bounds.tensor])
            for index, upper, value in zip(bounds.index.tolist(), bounds.upper, bounds.value.tolist(), strict=True):
                yield f"(assert ({'<=' if upper else '>='} {names[index]} {_decimal(value)}))"
        for assertion in self._query.assertions:
            yield f"(assert {self._condition(assertion)})"

    def _condition(self, assertion: Assertion) -> str:
        if isinstance(assertion, Connective):
            parts = [self._condition(operand) for operand in assertion.operands]
            return parts[0] if len(parts) == 1 else f"({assertion.operator} {' '.join(parts)})"
        left, relation, right = assertion.left, assertion.relation, assertion.right
        if isinstance(left, Constant) and not isinstance(right, Constant):
            left, relation, right = right, MIRRORED[relation], left
        whole = self._is_whole(left) or self._is_whole(right)
        return f"({relation} {self._term(left, whole)} {self._term(right, whole)})"

    def _term(self, term: Term, whole: bool) -> str:
        if isinstance(term, Variable):
            return self._tensors[term.tensor].element(term.index, "2.0")
        if isinstance(term, Constant):
            return str(int(term.value)) if whole and term.value.is_integer() else _decimal(term.value)
        parts = [self._term(operand, whole) for operand in term.operands]
        return parts[0] if len(parts) == 1 and term.operator != "-" else f"({term.operator} {' '.join(parts)})"

    def _is_whole(self, term: Term) -> bool:
        """Whether a term is about integers, so that its constants are written without a fraction."""
        if isinstance(term, Arithmetic):
            return any(self._is_whole(operand) for operand in term.operands)
        return isinstance(term, Variable) and self._tensors[term.tensor].dtype in INTEGERS


class _WriterV1:
    def __init__(self, query: Query) -> None:
        self._query = query
        self._n_inputs = sum(tensor.size for tensor in query.inputs)
        self._n_outputs = sum(tensor.size for tensor in query.computed)
        self._linearizer = Linearizer(query)

    def statements(self) -> Iterator[str]:
        """The declarations, the bounds, the other assertions."""
        if len(self._query.networks) > 1:
            raise self._not_core("a property of several networks")
        if self._query.networks[0].hidden:
            raise self._not_core("a property of hidden values")
        if any(tensor.initialized for tensor in self._query.inputs):
            raise self._not_core("an initialized input")
        yield from (f"(declare-const X_{index} Real)" for index in range(self._n_inputs))
        yield from (f"(declare-const Y_{index} Real)" for index in range(self._n_outputs))
        for bounds in self._query.bounds:
            start = self._linearizer.number(Variable(bounds.tensor, 0, 0))
            for index, upper, value in zip(bounds.index.tolist(), bounds.upper, bounds.value.tolist(), strict=True):
                yield f"(assert ({'<=' if upper else '>='} X_{start + index} {value!r}))"
        for assertion in self._query.assertions:
            yield from self._assert(assertion)

    def _assert(self, assertion: Assertion) -> Iterator[str]:
        if isinstance(assertion, Connective) and assertion.operator == "and":
            for operand in assertion.operands:
                yield from self._assert(operand)
        elif isinstance(assertion, Connective):
            disjuncts = (f"(and {' '.join(atoms)})" for atoms in self._disjuncts(assertion))
            yield "(assert (or\n    " + "\n    ".join(disjuncts) + "\n))"
        else:
            yield from (f"(assert {atom})" for atom in self._atoms(assertion))

    def _disjuncts(self, assertion: Assertion) -> Iterator[list[str]]:
        """What a disjunction is between, nested ones included, each as the comparisons that must hold together."""
        if isinstance(assertion, Connective) and assertion.operator == "or":
            for operand in assertion.operands:
                yield from self._disjuncts(operand)
        else:
            yield list(self._conjuncts(assertion))

    def _conjuncts(self, assertion: Assertion) -> Iterator[str]:
        if isinstance(assertion, Comparison):
            yield from self._atoms(assertion)
        elif assertion.operator == "and" or len(assertion.operands) == 1:
            for operand in assertion.operands:
                yield from self._conjuncts(operand)
        else:
            raise self._not_core("'or' inside 'and' inside 'or'")

    def _atoms(self, comparison: Comparison) -> Iterator[str]:
        """One comparison, or two for an equality."""
        constraint = self._linearizer.constraint(comparison)
        relation = constraint.relation
        if max(constraint.coefficients, default=0) >= self._linearizer.n_variables:
            raise self._not_core("a product of variables")
        if relation not in ("<=", ">=", "=="):
            raise self._not_core(f"the relation '{relation}'")
        yield from (self._atom(constraint, side) for side in ("<=", ">=") if relation in (side, "=="))

    def _atom(self, constraint: Constraint, relation: str) -> str:
        """A constraint in the core dialect: an element against a number, or an output against another."""
        positive = [variable for variable, value in constraint.coefficients.items() if value == 1]
        negative = [variable for variable, value in constraint.coefficients.items() if value == -1]
        rhs = nearest(constraint.rhs)
        if len(positive) + len(negative) == len(constraint.coefficients) and rhs == constraint.rhs:
            if len(positive) == 1 and not negative:
                return f"({relation} {self._name(positive[0])} {rhs!r})"
            if len(negative) == 1 and not positive:
                return f"({'>=' if relation == '<=' else '<='} {self._name(negative[0])} {-rhs!r})"
            outputs = min([*positive, *negative], default=-1) >= self._n_inputs
            if len(positive) == len(negative) == 1 and outputs and rhs == 0:
                return f"({relation} {self._name(positive[0])} {self._name(negative[0])})"
        raise self._not_core("a constraint other than element against number or output against output")

    def _name(self, variable: int) -> str:
        return f"X_{variable}" if variable < self._n_inputs else f"Y_{variable - self._n_inputs}"

    def _not_core(self, what: str) -> InputError:
        return InputError(f"VNN-LIB 1.0 has no common way to write {what}", "write version 2.0")


def _element_names(tensor: Tensor) -> list[str]:
    """The 2.0 names of all elements, in row-major order."""
    if not tensor.shape:
        return [tensor.name]
    return [f"{tensor.name}[{','.join(indices)}]" for indices in product(*(map(str, range(n)) for n in tensor.shape))]


def _quoted(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def _decimal(value: float) -> str:
    """The shortest decimal that reads back as the value, with a fraction and without an exponent."""
    text = repr(value)
    return np.format_float_positional(value, unique=True, trim="0") if "e" in text else text
