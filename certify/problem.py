"""A problem: one network and the unsafe set, agreed on shapes and names; what every method and the search work on.

    sat  iff  for some goal, some x in its box makes the goal's formula over  margin(x) <= 0  true

where atom i's margin is  outputs[i] . N(x) + inputs[i] . x - rhs[i].  Refuting needs lower bounds of margins only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from pathlib import Path

import numpy as np

from certify.arrays import Array
from certify.errors import InputError, ShapeMismatch
from certify.files import read_bytes, resolve
from certify.network.graph import Network, TensorSpec
from certify.network.passes.join_networks import Wiring, join_networks
from certify.network.read_onnx import Model
from certify.query.diagnostics import Diagnostic
from certify.query.formula import AllOf, AnyOf, Atoms, Formula, Region, atoms_of
from certify.query.normal_form import UnsafeSet, lower
from certify.query.region_query import box_bounds
from certify.query.syntax import NetworkDeclaration, Query, Tensor, TensorBounds
from certify.query.typecheck import INTEGERS


@dataclass(frozen=True)
class Goal:
    """One region, ready to be worked on: its box, the atoms its formula mentions, the formula over their positions."""

    lower: np.ndarray
    upper: np.ndarray
    atoms: np.ndarray
    formula: Formula

    @cached_property
    def required(self) -> np.ndarray:
        """Positions of atoms that every unsafe point satisfies."""
        return np.array(sorted(set(_required(self.formula))), dtype=int)


@dataclass(frozen=True)
class Problem:
    """A network, the unsafe set over its flat inputs and outputs, and the files both came from.

    models: the file of each declared network, by name. Only what looks at these files (the witness, the check that they
    are computed as onnxruntime does) needs to know that there may be several.
    """

    network: Network
    unsafe: UnsafeSet
    models: Mapping[str, Model] = field(default_factory=dict)
    query: Query | None = None

    @property
    def atoms(self) -> Atoms:
        """The linear atoms of all goals."""
        return self.unsafe.atoms

    def goals(self) -> Iterator[Goal]:
        """The regions, one after the other, as they are multiplied out."""
        for region in self.unsafe.regions:
            yield goal_of(region)

    def output_name(self, output: int) -> str:
        """What an output of the network is called in the query; of a product, all factors."""
        assert self.query is not None
        inputs, columns = sum(tensor.size for tensor in self.query.inputs), self.unsafe.columns
        factors = (inputs + output,) if columns is None else columns.outputs[output]
        return " * ".join(map(self.query.element, factors))

    def declared_inputs(self, x: np.ndarray) -> np.ndarray:
        """All declared inputs, laid end to end, from the ones that the network here takes."""
        return x if self.unsafe.columns is None else self.unsafe.columns.declared(x)

    def margin_rows(self, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """(coefficients of outputs, of inputs or None, offset) of the margins of these atoms; -1 stands for no atom.

        A row without atom is constant -1, so that it never counts as refuted.
        """
        absent = atoms < 0
        if absent.all():
            return np.zeros((*atoms.shape, self.network.n_outputs)), None, np.full(atoms.shape, -1.0)
        outputs = np.where(absent[..., None], 0.0, self.atoms.outputs[atoms])
        offset = np.where(absent, -1.0, -self.atoms.rhs[atoms])
        if self.atoms.inputs is None or not self.atoms.inputs[atoms].any():
            return outputs, None, offset
        return outputs, np.where(absent[..., None], 0.0, self.atoms.inputs[atoms]), offset

    def margins(self, x: np.ndarray, y: np.ndarray, atoms: np.ndarray) -> np.ndarray:
        """Margins [points, atoms] at concrete inputs [points, n_inputs] and outputs [points, n_outputs]."""
        outputs, inputs, offset = self.margin_rows(atoms)
        found = y @ outputs.T + offset
        return found if inputs is None else found + x @ inputs.T


def files_by_network(files: str | Path | Mapping[str, str | Path], query: Query) -> dict[str, Path]:
    """The model file of each declared network. Raises InputError where files are missing, left over or contradictory.

    A single file belongs to the only network that is not equal to another. A network that is may be given the file of
    that other one again.
    """
    own = [network.name for network in query.networks if network.model_name == network.name]
    if isinstance(files, str | Path):
        if len(own) > 1:
            message = f"{query.file} declares the networks {', '.join(own)}, but one model is given"
            raise InputError(message, "give a file for each: " + " ".join(f"--network {name}=FILE" for name in own))
        files = {own[0]: files}
    given = {name: resolve(file) for name, file in files.items()}
    names = [network.name or "the network" for network in query.networks]
    for name in given:
        if name not in {network.name for network in query.networks}:
            raise InputError(f"{query.file} declares no network {name}", f"it declares {', '.join(names)}")
    for name in own:
        if name not in given:
            raise InputError(f"no model is given for network {name} of {query.file}", f"add --network {name}=FILE")
    for network in query.networks:
        file, same = given.get(network.name), given[network.model_name]
        if file is not None and file != same and read_bytes(file) != read_bytes(same):
            message = f"network {network.name} is equal to {network.model_name}, but {file} is not {same}"
            raise InputError(message, f"give no file for {network.name}, or the same one")
    return {network.name: given[network.model_name] for network in query.networks}


def pose(models: Model | Mapping[str, Model], query: Query, *, strict: bool = False) -> Problem:
    """The problem that models and a query pose together. Raises ShapeMismatch where they do not fit.

    models: by name of the declared network, each with that network's hidden values as its first outputs; a single model
    stands for the only network. Tensors are matched by position and number of elements; where shapes or types of
    VNN-LIB 2.0 differ, the problem's query has a warning, and strict refuses it.
    """
    if isinstance(models, Model):
        models = {query.networks[0].name: models}
    warnings: list[Diagnostic] = []
    for network in query.networks:
        warnings += _check_fit(query, network, models[network.name], strict)
    bounds = tuple(_defaults(query, models))
    query = replace(query, bounds=query.bounds + bounds, warnings=query.warnings + tuple(warnings))
    unsafe = lower(query)
    networks = {network.name: models[network.name].network for network in query.networks}
    if unsafe.columns is None:
        (joined,) = networks.values()
    else:
        c = unsafe.columns
        joined = join_networks(networks, Wiring(c.weight, c.shift, c.source, c.outputs))
    return Problem(joined, unsafe, {name: models[name] for name in networks}, query)


def _check_fit(query: Query, network: NetworkDeclaration, model: Model, strict: bool) -> Iterator[Diagnostic]:
    """Declared and actual tensors agree; a warning for each that does so in number of elements only."""
    hidden, specs = len(network.hidden), model.network.outputs
    assert tuple(spec.name for spec in specs[:hidden]) == tuple(tensor.value for tensor in network.hidden)
    kinds = (
        ("input", network.inputs, model.network.inputs),
        ("hidden value", network.hidden, specs[:hidden]),
        ("output", network.outputs, specs[hidden:]),
    )
    for kind, tensors, actual in kinds:
        _check_sizes(query, kind, tensors, actual, model)
        for tensor, spec in zip(tensors, actual, strict=False):
            declared = f"{tensor.name} is declared {tensor.dtype} {list(tensor.shape)}"
            said = f"{declared}, but {spec.name} of {model.path} is {spec.dtype} {list(spec.shape)}"
            place = query.file, *query.locate(tensor.offset)
            if tensor.dtype in INTEGERS and spec.dtype not in INTEGERS:
                hint = "declare a floating-point type or real: certify computes with real numbers"
                raise ShapeMismatch(*place, said, hint, "V0405")
            # The type of a hidden value is not written in the model file.
            same = tensor.shape == spec.shape and (tensor.dtype in ("real", spec.dtype) or kind == "hidden value")
            if query.version != "1.0" and not same:
                if strict:
                    hint = "declare the model's own shapes and types, or leave out --strict"
                    raise ShapeMismatch(*place, said, hint, "V1406")
                yield Diagnostic("V1406", "warning", *place, said)


def _defaults(query: Query, models: Mapping[str, Model]) -> Iterator[TensorBounds]:
    """What holds of the initialized inputs: each has the value that its model gives it."""
    for network in query.networks:
        model = models[network.name]
        for tensor, spec in zip(network.inputs, model.network.inputs, strict=False):
            if not tensor.initialized:
                continue
            if spec.name not in model.defaults:
                message = f"{tensor.name} is declared initialized, but {model.path} gives {spec.name} no value"
                hint = "leave `initialized` out, and bound the input"
                raise ShapeMismatch(query.file, *query.locate(tensor.offset), message, hint, "V0406")
            value = model.defaults[spec.name]
            yield box_bounds(tensor.name, value, value)


def _check_sizes(query: Query, kind: str, tensors: Sequence[Tensor], specs: Sequence[TensorSpec], model: Model) -> None:
    declared, actual = [t.size for t in tensors], [s.size for s in specs]
    if sum(declared) != sum(actual) or (query.version != "1.0" and declared != actual):
        shapes = ", ".join(f"{s.name} {s.dtype} {list(s.shape)}" for s in specs)
        counts = f"{sum(declared)} {kind}s" if sum(declared) != sum(actual) else f"{kind}s of sizes {declared}"
        message = f"{counts} are declared, but {model.path} has {sum(actual)} ({shapes})"
        place = query.locate(tensors[0].offset)
        raise ShapeMismatch(query.file, *place, message, "is this specification meant for another model?", "V0404")


def goal_of(region: Region) -> Goal:
    """A region with its atoms numbered by position; one without any gets the absent atom, which always holds."""
    atoms = sorted(set(atoms_of(region.formula)))
    if not atoms:
        return Goal(region.lower, region.upper, np.array([-1]), AllOf((region.formula, 0)))
    place = {atom: position for position, atom in enumerate(atoms)}
    return Goal(region.lower, region.upper, np.array(atoms, dtype=int), _renumber(region.formula, place))


def _renumber(formula: Formula, place: dict[int, int]) -> Formula:
    if isinstance(formula, int):
        return place[formula]
    return type(formula)(tuple(_renumber(part, place) for part in formula.parts))


def _required(formula: Formula) -> Iterable[int]:
    if isinstance(formula, int):
        yield formula
    elif isinstance(formula, AllOf) or len(formula.parts) == 1:
        for part in formula.parts:
            yield from _required(part)


def worst_margin(formula: Formula, margins: Array) -> Array:
    """The formula's own margin, [points], from those of its atoms, [points, atoms]: it can hold only where <= 0.

    Monotone in every atom's margin, so lower bounds give a lower bound, and a positive one refutes the formula.
    """
    if isinstance(formula, int):
        return margins[:, formula]
    if not formula.parts:
        return np.full(len(margins), -np.inf if isinstance(formula, AllOf) else np.inf)
    pick, other = (np.maximum, np.minimum) if isinstance(formula, AllOf) else (np.minimum, np.maximum)
    leaves: list[int] = []
    groups: list[tuple[int, ...]] = []  # parts of the other kind that hold nothing but atoms: there can be thousands
    found = []
    for part in formula.parts:
        if isinstance(part, int):
            leaves.append(part)
        elif part.parts and type(part) is not type(formula) and all(isinstance(atom, int) for atom in part.parts):
            groups.append(part.parts)  # type: ignore[arg-type]
        else:
            found.append(worst_margin(part, margins))
    if leaves:
        found.append(pick.reduce(margins[:, leaves], axis=1))
    for alike in _by_length(groups):
        # Atom by atom rather than group by group: thousands of groups, of a few atoms each.
        each = reduce(other, (margins[:, place] for place in np.array(alike).T))
        found.append(pick.reduce(each, axis=1))
    return pick.reduce(found)


def _by_length(groups: list[tuple[int, ...]]) -> Iterable[list[tuple[int, ...]]]:
    found: dict[int, list[tuple[int, ...]]] = {}
    for group in groups:
        found.setdefault(len(group), []).append(group)
    return found.values()


def clauses(formula: Formula, refuted: np.ndarray) -> Iterator[tuple[int, ...]]:
    """The conjunctions of atoms that make the formula true, one at a time; those with a refuted atom are left out.

    refuted: [atoms] mask. The product is walked lazily, so that a consumer can stop at any number.
    """
    if isinstance(formula, int):
        if not refuted[formula]:
            yield (formula,)
    elif isinstance(formula, AnyOf):
        for part in formula.parts:
            yield from clauses(part, refuted)
    elif not formula.parts:
        yield ()
    else:
        first, rest = formula.parts[0], AllOf(formula.parts[1:])
        for clause in clauses(first, refuted):
            for other in clauses(rest, refuted):
                yield tuple(dict.fromkeys(clause + other))
