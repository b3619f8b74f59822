"""The logic of the VNN-LIB standard that a query belongs to, such as NH-SNET-SIO-SNC-OUTC-FLOAT32."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from certify.query.linear import Linearizer
from certify.query.syntax import Arithmetic, Assertion, Comparison, Query, Term, Variable

_DEGREES = ("BND", "OUTC", "LIN", "POLY")


def logic(query: Query) -> str:
    """The six theories, joined by '-'."""
    networks = query.networks
    likes = [network.like[0] if network.like else "" for network in networks]
    single = all(len(network.inputs) == len(network.outputs) == 1 for network in networks)
    comparisons = list(_comparisons(query.assertions))
    linearizer = Linearizer(query)
    owner = {tensor.name: network.name for network in networks for tensor in network.inputs + network.computed}
    degree = max((_degree(query, linearizer, comparison) for comparison in comparisons), default=0)
    return "-".join([
        "H" if any(network.hidden for network in networks) else "NH",
        _networks(likes),
        "SIO" if single else "MIO",
        "MNC" if any(_relates_one_network(comparison, owner) for comparison in comparisons) else "SNC",
        _DEGREES[degree],
        *sorted({tensor.dtype.upper() for tensor in query.tensors()}),
    ])  # fmt: skip


def _networks(likes: list[str]) -> str:
    if len(likes) == 1:
        return "SNET"
    if likes.count("equal-to") == len(likes) - 1:
        return "MENET"
    return "MINET" if likes.count("") == 1 else "MNET"


def _comparisons(assertions: Iterable[Assertion]) -> Iterator[Comparison]:
    for assertion in assertions:
        if isinstance(assertion, Comparison):
            yield assertion
        else:
            yield from _comparisons(assertion.operands)


def _tensors(term: Term) -> Iterator[str]:
    if isinstance(term, Variable):
        yield term.tensor
    elif isinstance(term, Arithmetic):
        for operand in term.operands:
            yield from _tensors(operand)


def _relates_one_network(comparison: Comparison, owner: dict[str, str]) -> bool:
    """Whether two different tensors of one network meet in the comparison."""
    tensors = {*_tensors(comparison.left), *_tensors(comparison.right)}
    return len({owner[tensor] for tensor in tensors}) < len(tensors)


def _degree(query: Query, linearizer: Linearizer, comparison: Comparison) -> int:
    """The place in `_DEGREES`."""
    sides = comparison.left, comparison.right
    if not any(isinstance(side, Arithmetic) for side in sides):
        variables = [side for side in sides if isinstance(side, Variable)]
        if len(variables) < 2:
            return 0
        inputs = {tensor.name for tensor in query.inputs}
        return 2 if any(variable.tensor in inputs for variable in variables) else 1
    numbers = linearizer.constraint(comparison).coefficients
    return 3 if max(numbers, default=0) >= linearizer.n_variables else 2
