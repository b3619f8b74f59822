"""Write a proof by signs of hidden values: bounds at the root, the cuts, and what refutes each leaf."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from certify.arrays import Array, to_numpy
from certify.errors import CertificateError
from certify.network.graph import Network
from certify.ops.relu import Relu
from certify.problem import Problem, clauses
from certify.search.branches import Branches
from certify.search.tree import Clip, Ground, HiddenBounds, Leaves, SearchTree, ValueCut


class Arrays(Protocol):
    """Where arrays go."""

    def array(self, name: str, values: Any) -> None:
        """One array."""


# By value, the flat elements that a network has of another one's.
Kept = Mapping[str, np.ndarray]


class Columns:
    """The free entries, elements whose sign is open at the root: what slopes, multipliers and cuts refer to.

    Arrays may be those of a network without dead rectifiers: `kept` says which elements they hold, by value.
    """

    def __init__(self, network: Network, ground: Ground) -> None:
        for node in network.nonlinear:
            if not isinstance(node.op, Relu) or node.op.negative_slope != 0.0:
                raise CertificateError("only proofs about rectifiers can be written down so far")
        self.nodes = [node.name for node in network.nonlinear]
        self.values = [node.inputs[0] for node in network.nonlinear]
        if len(set(self.values)) != len(self.values):
            raise CertificateError("two rectifiers of the same value cannot be written down")
        assert ground.relaxed is not None
        self.elements: list[np.ndarray] = []
        for value in self.values:
            interval = ground.relaxed.intervals.get(value)
            if interval is None:  # the cheapest bounds sufficed, and nothing refers to anything
                self.elements.append(np.zeros(0, dtype=int))
                continue
            low, high = (to_numpy(side)[0].reshape(-1) for side in interval)
            self.elements.append(np.flatnonzero((low < 0.0) & (high > 0.0)))
        self.rectifier = np.repeat(np.arange(len(self.values)), [len(e) for e in self.elements])
        self.start = np.concatenate([[0], np.cumsum([len(e) for e in self.elements])]).astype(int)

    def __len__(self) -> int:
        return int(self.start[-1])

    def of(self, value: str, elements: np.ndarray) -> np.ndarray:
        """Places of flat elements of a value, in the problem's network, in the list."""
        number = self.values.index(value)
        place = np.searchsorted(self.elements[number], elements)
        mine = self.elements[number]
        if len(elements) and (not len(mine) or (mine[np.minimum(place, len(mine) - 1)] != elements).any()):
            raise CertificateError("a split of a value that was stable at the root cannot be written down")
        return self.start[number] + place

    def gather(self, parts: Mapping[str, Array], names: list[str], shape: tuple[int, int], kept: Kept, *,
               most: int | None = None) -> np.ndarray:  # fmt: skip
        """[nodes, rows, entries] of arrays [nodes or 1, rows, *shape] by name, zero where there are none.

        names: of the arrays that belong to the rectifiers, in order; kept: which elements they hold, by value; most:
        how many rectifiers to take.
        """
        count = len(names) if most is None else most
        found = np.zeros((*shape, int(self.start[count])), dtype=np.float32)
        for number in range(count):
            value, name = self.values[number], names[number]
            if name not in parts or not len(self.elements[number]):
                continue
            flat = to_numpy(parts[name])
            flat = np.broadcast_to(flat, (*shape, *flat.shape[2:])).reshape(*shape, int(np.prod(flat.shape[2:])))
            elements = self.elements[number]
            held, place = np.ones(len(elements), dtype=bool), elements
            if value in kept:
                held = np.isin(elements, kept[value])
                place = np.searchsorted(kept[value], elements)
            found[..., self.start[number] + np.flatnonzero(held)] = flat[..., place[held]]
        return found

    def slopes(self, slopes: Mapping[str, tuple[Array, ...]], *where: Any, **how: Any) -> np.ndarray:
        """The same of slopes, which come as tuples of one."""
        only = {name: parts[0] for name, parts in slopes.items()}
        return np.clip(self.gather(only, self.nodes, *where, **how), 0.0, 1.0)

    def multipliers(self, multipliers: Mapping[str, Array], *where: Any, **how: Any) -> np.ndarray:
        """The same of multipliers, which come by value."""
        return np.maximum(self.gather(multipliers, self.values, *where, **how), 0.0)


def write_signs(writer: Arrays, name: str, problem: Problem, tree: SearchTree) -> dict[str, Any]:
    """Arrays for the writer; the fields of the part."""
    ground = tree.ground
    assert ground is not None and ground.clauses is not None
    columns = Columns(problem.network, ground)
    (number,) = ground.goals.tolist()
    goal = next(goal for i, goal in enumerate(problem.goals()) if i == number)
    writer.array(f"{name}/free_rectifier", columns.rectifier.astype(np.int32))
    writer.array(f"{name}/free_element", np.concatenate([*columns.elements, np.zeros(0, dtype=int)]).astype(np.int32))
    hidden = write_forests(writer, name, columns, ground)
    if ground.slopes:
        slopes = columns.slopes(ground.slopes, (1, len(goal.atoms)), ground.shrunk)[0]
        writer.array(f"{name}/root_slopes", slopes)
    wanted: list[int] = []
    if ground.clauses:
        numbers = {
            clause: i for i, clause in reversed(list(enumerate(clauses(goal.formula, np.zeros(len(goal.atoms), bool)))))
        }
        wanted = [numbers[clause] for clause in ground.clauses]
        _trees(writer, name, columns, tree, max(len(clause) for clause in ground.clauses))
    return {
        "kind": "signs",
        "case": number,
        "clauses": wanted,
        "hidden": hidden,
        "root": bool(ground.slopes),
        "clips": any(isinstance(step, Clip) for step in tree.steps),
    }


def write_forests(writer: Arrays, name: str, columns: Columns, ground: Ground) -> list[list[int]]:
    """How hidden values are bounded at the root, turn by turn; the rectifiers that each turn's forests are about."""
    for turn, forests in enumerate(ground.turns):
        for group, forest in enumerate(forests):
            k, start = columns.values.index(forest.value), f"{name}/hidden_{turn}_{group}_"
            place = np.concatenate([columns.of(value, found) for value, found in forest.open.items()])
            slopes = np.zeros((len(forest.slopes), int(columns.start[k])), dtype=np.uint8)
            slopes[:, place] = forest.slopes
            writer.array(f"{start}elements", forest.elements.astype(np.int32))
            writer.array(f"{start}cut_node", forest.cut_node.astype(np.int32))
            writer.array(f"{start}cut_free", place[forest.cut_column].astype(np.int32))
            writer.array(f"{start}slopes", slopes)
            writer.array(f"{start}multipliers", forest.multipliers)
    return [[columns.values.index(forest.value) for forest in forests] for forests in ground.turns]


def _trees(writer: Arrays, name: str, columns: Columns, tree: SearchTree, width: int) -> None:
    """The cuts, and the evidence at nodes."""
    assert tree.ground is not None
    kept = tree.ground.kept
    cuts = [step for step in tree.steps if isinstance(step, ValueCut)]
    if any((np.asarray(cut.point) != 0.0).any() for cut in cuts):
        raise CertificateError("splits at other points than zero cannot be written down so far")
    branches = Branches.of(cuts, len(tree.roots))
    writer.array(f"{name}/cut_node", branches.node)
    places = [_places(columns, cut, kept) for cut in cuts]
    writer.array(f"{name}/cut_free", branches.ordered(places).astype(np.int32))
    steps = [
        s
        for s in tree.steps
        if (isinstance(s, Leaves) and s.slopes and s.weights is None) or (isinstance(s, Clip) and s.slopes)
    ]
    joined = [s for s in tree.steps if isinstance(s, Leaves) and s.weights is not None]
    for key, found, rows in (("step", steps, width), ("joined", joined, 1)):
        nodes, slopes, multipliers, weights = [np.zeros(0, int)], [], [], []
        for step in found:
            assert isinstance(step, Leaves | Clip) and step.slopes is not None and step.multipliers is not None
            shape = (len(step.node), rows)
            node, there = branches.renumbered(step.node)
            nodes.append(node[there])
            slopes.append(columns.slopes(step.slopes, shape, kept)[there])
            multipliers.append(columns.multipliers(step.multipliers, shape, kept)[there])
            if isinstance(step, Leaves) and step.weights is not None:
                weights.append(np.asarray(step.weights, dtype=np.float64).reshape(len(step.node), -1)[there])
        empty = np.zeros((0, rows, len(columns)), dtype=np.float32)
        node = np.concatenate(nodes)
        # Of a node that was bounded twice the last word counts.
        last = len(node) - 1 - np.unique(node[::-1], return_index=True)[1] if len(node) else np.zeros(0, int)
        writer.array(f"{name}/{key}_node", node[last])
        writer.array(f"{name}/{key}_slopes", np.concatenate([*slopes, empty])[last])
        writer.array(f"{name}/{key}_multipliers", np.concatenate([*multipliers, empty])[last])
        if key == "joined":
            writer.array(f"{name}/joined_weights", np.concatenate([*weights, np.zeros((0, width))])[last])
    _refined(writer, name, columns, branches, [s for s in tree.steps if isinstance(s, HiddenBounds)], kept)


def _places(columns: Columns, cut: ValueCut, kept: Kept) -> np.ndarray:
    """The free entry of each cut."""
    value, found = np.array(cut.value), np.zeros(len(cut.node), dtype=int)
    for name in sorted(set(cut.value)):
        mine = np.flatnonzero(value == name)
        elements = np.asarray(cut.element)[mine]
        found[mine] = columns.of(name, kept[name][elements] if name in kept else elements)
    return found


def _refined(
    writer: Arrays, name: str, columns: Columns, branches: Branches, steps: list[HiddenBounds], kept: Kept
) -> None:
    """Hidden values bounded again at nodes: one entry per node and element, with the slopes of its two rows."""
    nodes: list[np.ndarray] = []
    entries: list[np.ndarray] = []
    slopes: list[np.ndarray] = []
    multipliers: list[np.ndarray] = []
    for step in steps:
        node, there = branches.renumbered(step.node)
        for walk in step.walks:
            k, count = columns.values.index(walk.value), walk.elements.shape[1]
            shape = (len(node), 2 * count)
            elements = np.broadcast_to(walk.elements, (len(node), count))
            own = kept[walk.value][elements] if walk.value in kept else elements
            open_ = np.isin(own, columns.elements[k]) & there[:, None]
            nodes.append(np.repeat(node, count).reshape(-1, count)[open_])
            entries.append(columns.of(walk.value, own[open_]) if open_.any() else np.zeros(0, int))
            for parts, into in (
                (columns.slopes(walk.slopes, shape, kept, most=k + 1), slopes),
                (columns.multipliers(walk.multipliers, shape, kept, most=k + 1), multipliers),
            ):
                both = parts.reshape(len(node), 2, count, parts.shape[2]).swapaxes(1, 2)
                into.append(both[open_].reshape(-1))
    for key, found in (("node", nodes), ("free", entries)):
        writer.array(f"{name}/refined_{key}", np.concatenate([*found, np.zeros(0, dtype=np.int64)]))
    for key, found in (("slopes", slopes), ("multipliers", multipliers)):
        writer.array(f"{name}/refined_{key}", np.concatenate([*found, np.zeros(0, dtype=np.float32)]))
