"""The typing rules of VNN-LIB 2.0.

Source: the standard, chapters on scoping and typing. A type that numbers cannot be compared with is an error; every
other violation leaves no doubt about the meaning over the reals and is tolerated outside strict mode.
"""

from __future__ import annotations

from collections.abc import Mapping

from certify.query.syntax import (
    Arithmetic,
    Assertion,
    Comparison,
    Connective,
    Constant,
    NetworkDeclaration,
    Tensor,
    Term,
)
from certify.query.tokens import Source

FLOATS = frozenset({"real", "float16", "float32", "float64", "bfloat16", "float4e2m1"}) | {
    f"float8{layout}" for layout in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")
}
UNSIGNED = frozenset({"uint4", "uint8", "uint16", "uint32", "uint64"})
INTEGERS = UNSIGNED | {"int4", "int8", "int16", "int32", "int64"}
_NOT_NUMBERS = frozenset({"bool", "string", "complex64", "complex128"})
_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "int": "int64"}


def element_type(source: Source, word: str, offset: int) -> str:
    """The element type a word names."""
    if word not in FLOATS | INTEGERS | _NOT_NUMBERS and word.lower() in FLOATS | INTEGERS:
        source.tolerate("V1207", offset, f"'{word}' written for '{word.lower()}'")
        word = word.lower()
    if word in _NOT_NUMBERS:
        raise source.error(
            "V0402", offset, f"tensors of {word} are not supported yet", "use float32, real or an integer type"
        )
    if word not in FLOATS | INTEGERS:
        meant = _ALIASES.get(word.lower())
        hint = f"write {meant}" if meant else "element types are real, float32, float64, int8, ..."
        raise source.error("V0401", offset, f"unknown element type '{word}'", hint)
    return word


def check_declared_types(source: Source, tensors: tuple[Tensor, ...]) -> None:
    """A query that uses `real` uses it for all its tensors."""
    real = [tensor.dtype == "real" for tensor in tensors]
    if any(real) and not all(real):
        source.tolerate("V1401", tensors[real.index(True)].offset, "'real' beside other element types")


def check_likeness(source: Source, network: NetworkDeclaration, other: NetworkDeclaration) -> None:
    """Networks that are equal or isomorphic declare the same tensors; equal ones with the same element types too."""
    assert network.like
    equal = network.like[0] == "equal-to"
    pairs: list[tuple[Tensor, Tensor]] = []
    for role, mine, theirs in (("input", network.inputs, other.inputs), ("output", network.outputs, other.outputs)):
        if len(mine) != len(theirs):
            message = f"{network.name} declares {len(mine)} {role}(s), but {other.name} {len(theirs)}"
            raise source.error(
                "V0403", mine[0].offset, message, f"a network that is {network.like[0]} another has the same ones"
            )
        pairs += zip(mine, theirs, strict=True)
    if equal:
        pairs += [(a, b) for a in network.hidden for b in other.hidden if a.value == b.value]
    for mine_, theirs_ in pairs:
        if mine_.shape != theirs_.shape or (equal and mine_.dtype != theirs_.dtype):
            message = f"{mine_.name} {mine_.dtype} {list(mine_.shape)} differs from {theirs_.name} {theirs_.dtype}"
            hint = f"{network.name} is {network.like[0]} {other.name}"
            raise source.error("V0403", mine_.offset, f"{message} {list(theirs_.shape)}", hint)


def check_comparisons(source: Source, assertion: Assertion, tensors: Mapping[str, Tensor]) -> None:
    """Every leaf of a comparison has one element type, and its constants fit that type."""
    pending: list[Assertion] = [assertion]
    while pending:
        node = pending.pop()
        if isinstance(node, Connective):
            pending.extend(node.operands)
        else:
            _check_comparison(source, node, tensors)


def _check_comparison(source: Source, comparison: Comparison, tensors: Mapping[str, Tensor]) -> None:
    constants: list[Constant] = []
    dtypes: set[str] = set()
    pending: list[Term] = [comparison.left, comparison.right]
    while pending:
        term = pending.pop()
        if isinstance(term, Constant):
            constants.append(term)
        elif isinstance(term, Arithmetic):
            pending.extend(term.operands)
        else:
            dtypes.add(tensors[term.tensor].dtype)
    if not dtypes:
        source.tolerate("V1402", comparison.offset, "a comparison without a variable")
    elif len(dtypes) > 1:
        source.tolerate("V1403", comparison.offset, "a comparison of " + " with ".join(sorted(dtypes)))
    else:
        for constant in constants:
            _check_constant(source, constant, dtypes.copy().pop())


def _check_constant(source: Source, constant: Constant, dtype: str) -> None:
    whole = constant.lexeme.lstrip("+-").isdigit()
    if whole and dtype in FLOATS:
        # The standard's text allows it, its grammar tools (vnnlib 1.0.2, hence the official scorer) do not.
        source.tolerate("V1404", constant.offset, f"an integer literal for {dtype}", f"write {constant.lexeme}.0")
    elif not whole and dtype in INTEGERS:
        source.tolerate("V1405", constant.offset, f"a fraction for {dtype}")
    elif constant.value < 0 and dtype in UNSIGNED:
        source.tolerate("V1405", constant.offset, f"a negative number for {dtype}")
