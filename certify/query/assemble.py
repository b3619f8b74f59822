"""From a condition built in Python to VNN-LIB 2.0 text: names for networks and tensors, declarations, assertions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from certify.errors import InputError
from certify.query.scalars import Element, Source
from certify.query.syntax import (
    Arithmetic,
    Assertion,
    Comparison,
    Connective,
    Likeness,
    NetworkDeclaration,
    Query,
    Role,
    Tensor,
    Term,
    Variable,
)
from certify.query.write import write_query

_LETTERS: dict[Role, str] = {"input": "X", "hidden": "H", "output": "Y"}
_NAMES = "fgpqrstuvw"
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


@dataclass(eq=False)
class ModelFile:
    """What a declaration needs to know of a network: compared by identity, so that one file can be there twice.

    name: what the user calls it, or "" for a name of ours.
    """

    path: Path
    name: str
    inputs: tuple[Source, ...] = ()
    outputs: tuple[Source, ...] = ()


def assemble(assertions: Iterable[Assertion], comment: str = "") -> tuple[str, dict[str, Path]]:
    """The text that asserts all of these, and the model file of each network that is not equal to another.

    The networks are those that the assertions mention, in the order of their first mention; networks of one file are
    declared equal. Raises InputError where nothing is mentioned, or names are taken twice.
    """
    try:
        parts = [part for assertion in assertions for part in _conjuncts(assertion)]
        sources = list(dict.fromkeys(element.source for part in parts for element in _elements(part)))
        networks = list(dict.fromkeys(source.network for source in sources))
        names = _network_names(networks)
        declarations, tensors = _declarations(networks, names, sources)
        named = tuple(_named(part, tensors) for part in parts)
        query = Query("", "2.0", declarations, (), named, text="", sha256="")
        text = write_query(query, comment=comment)
    except RecursionError:
        raise InputError(
            "the property is nested too deeply", "use .sum(), all_of and any_of instead of loops"
        ) from None
    owners = [declaration.model_name for declaration in declarations]
    return text, {name: network.path for name, network in zip(owners, networks, strict=True)}


def _conjuncts(assertion: Assertion) -> Iterator[Assertion]:
    if isinstance(assertion, Connective) and assertion.operator == "and":
        for operand in assertion.operands:
            yield from _conjuncts(operand)
    else:
        yield assertion


def _elements(node: Assertion | Term) -> Iterator[Element]:
    """The elements mentioned, from left to right."""
    if isinstance(node, Element):
        yield node
    elif isinstance(node, Comparison):
        yield from _elements(node.left)
        yield from _elements(node.right)
    elif isinstance(node, Connective | Arithmetic):
        for operand in node.operands:
            yield from _elements(operand)


def _network_names(networks: list[ModelFile]) -> list[str]:
    """A name for each network: the user's, else N for a single one, else f, g, p, ..."""
    if not networks:
        raise InputError("the property mentions no network", "compare its inputs and outputs with something")
    given = [network.name for network in networks if network.name]
    for name in given:
        if not _NAME.fullmatch(name) or name in ("and", "or", "initialized"):
            raise InputError(f"'{name}' cannot be the name of a network", "a letter, then letters, digits and '_'")
        if given.count(name) > 1:
            raise InputError(f"two networks are called {name}", "give each a name of its own")
    numbered = (f"n{number}" for number in range(1, len(networks) + 1))
    free = (name for name in (*_NAMES, *numbered) if name not in given)
    if len(networks) == 1:
        return [networks[0].name or "N"]
    return [network.name or next(free) for network in networks]


def _declarations(
    networks: list[ModelFile], names: list[str], mentioned: list[Source]
) -> tuple[tuple[NetworkDeclaration, ...], dict[Source, Tensor]]:
    """The declared networks, and the declared tensor of each source."""
    tensors: dict[Source, Tensor] = {}
    declarations = []
    first: dict[Path, str] = {}
    for network, name in zip(networks, names, strict=True):
        suffix = f"_{name}" if len(networks) > 1 else ""
        hidden = [source for source in mentioned if source.network is network and source.role == "hidden"]
        roles: list[list[Tensor]] = []
        for sources in (network.inputs, hidden, network.outputs):
            declared = {
                source: _tensor(source, f"{place if len(sources) > 1 else ''}{suffix}")
                for place, source in enumerate(sources)
            }
            tensors |= declared
            roles.append(list(declared.values()))
        owner = first.setdefault(network.path.resolve(), name)
        like: tuple[Likeness, str] | None = None if owner == name else ("equal-to", owner)
        inputs, inside, outputs = map(tuple, roles)
        declarations.append(NetworkDeclaration(name, inputs, inside, outputs, like))
    taken = set(names) & {tensor.name for tensor in tensors.values()}
    if taken:
        raise InputError(f"a tensor of the property is called {taken.pop()} too", "call the network something else")
    return tuple(declarations), tensors


def _tensor(source: Source, suffix: str) -> Tensor:
    value = source.onnx_name if source.role == "hidden" else ""
    return Tensor(_LETTERS[source.role] + suffix, source.role, source.dtype, source.shape, 0, value)


def _named(assertion: Assertion, tensors: dict[Source, Tensor]) -> Assertion:
    """The assertion about the declared tensors."""
    if isinstance(assertion, Connective):
        return replace(assertion, operands=tuple(_named(operand, tensors) for operand in assertion.operands))
    return replace(assertion, left=_term(assertion.left, tensors), right=_term(assertion.right, tensors))


def _term(term: Term, tensors: dict[Source, Tensor]) -> Term:
    if isinstance(term, Element):
        return Variable(tensors[term.source].name, term.index, 0)
    if isinstance(term, Arithmetic):
        return replace(term, operands=tuple(_term(operand, tensors) for operand in term.operands))
    return term
