"""Optimised bounds: slopes (alpha-CROWN) and split multipliers (beta-CROWN), every row on its own, without autograd.

The gradient of a CROWN bound by a plane's parameter is what that plane contributes when the relaxation is run forward
on the form's minimiser (Danskin's theorem). Sources: Xu et al. 2021 (alpha-CROWN), Wang et al. 2021 (beta-CROWN).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from certify.arrays import Array, double, namespace, single
from certify.bounds.backward import Rows, Walk, backward, forward_planes
from certify.bounds.intermediate import Relaxed
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.ops.kinds import Planes


@dataclass(frozen=True)
class Ascent:
    """How to climb: iterations, step sizes of slopes and multipliers, and their decay per iteration.

    levels: slopes found in single precision are rounded to multiples of one over this before they are evaluated, so
    that little has to be written down to evaluate them again.
    """

    iterations: int = 20
    slope_rate: float = 0.25
    multiplier_rate: float = 0.05
    decay: float = 0.98
    levels: int | None = None


@dataclass(frozen=True)
class Split:
    """Constraints sign * (value - point) >= 0 on elements of one value; sign 0 where there is none.

    sign: [batch, *shape]; point: [batch, *shape] or None for zero.
    """

    sign: Array
    point: Array | None = None


@dataclass
class Optimised:
    """Result of an ascent. lower: best bound [batch, rows]; form and weights: of the last walk.

    slopes (by node) and multipliers (by value): [batch, rows, *shape], for each batch element those of the iterate that
    settled it, or of the last one; the last, not the best, is what a child must start from.
    """

    lower: Array
    form: LinearForm
    weights: dict[str, Array]
    slopes: dict[str, tuple[Array, ...]]
    multipliers: dict[str, Array]
    settled: Array = field(default=None)


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015), ascending, over a dict of arrays; without bias in where it starts."""

    rate: dict[str, float]
    first: dict[str, Array] = field(default_factory=dict)
    second: dict[str, Array] = field(default_factory=dict)
    step: int = 0

    def update(self, values: dict[str, Array], grads: Mapping[str, Array], factor: float, frozen: Array | None) -> None:
        """Move every value in place along its gradient; frozen: [batch] mask of elements that stay."""
        self.step += 1
        correct1, correct2 = 1.0 - 0.9**self.step, 1.0 - 0.999**self.step
        for key, grad in grads.items():
            if key not in self.first:
                self.first[key], self.second[key] = 0.1 * grad, 0.001 * grad * grad
            else:
                self.first[key] = 0.9 * self.first[key] + 0.1 * grad
                self.second[key] = 0.999 * self.second[key] + 0.001 * grad * grad
            size = self.rate[key] * factor / correct1
            move = size * self.first[key] / ((self.second[key] / correct2) ** 0.5 + 1e-12)
            if frozen is not None:
                move = namespace(move).where(frozen.reshape((-1,) + (1,) * (move.ndim - 1)), 0.0 * move, move)
            values[key] = values[key] + move


Settle = Callable[[Array], Array]
# Is told of an ascent for elements of a hidden value, the output of the network relaxed: the rows, and what was found.
Record = Callable[[Relaxed, Rows, Optimised], None]


def optimise(
    relaxed: Relaxed,
    rows: Rows,
    ascent: Ascent,
    *,
    slopes: Mapping[str, tuple[Array, ...]] | None = None,
    splits: Mapping[str, Split] | None = None,
    multipliers: Mapping[str, Array] | None = None,
    settle: Settle | None = None,
    expired: Callable[[], bool] = lambda: False,
) -> Optimised:
    """Maximise the lower bound of each row over the free parameters of all planes and the multipliers of the splits.

    slopes, multipliers: where to start; plain CROWN's choice and zero by default. settle(lower) -> [batch]
    mask of elements that need no further work; the ascent ends once all are settled.

    Any parameters are sound, so they are searched for in single precision where every relaxation allows that; what is
    returned is evaluated in double, rounding taken off. Without settle, each row keeps its best iterate.
    """
    climb = _Climb(relaxed, rows, slopes, splits or {}, multipliers)
    if ascent.iterations > 0 and _has_draft(relaxed):
        draft = _Climb(*_in_single(relaxed, rows, splits or {}, climb))
        _ascend(draft, ascent, settle, expired)
        if all(bool(namespace(value).isfinite(value).all()) for value in draft.values.values()):
            # In double from here on: with p itself in single, 1 - p would not be what is left of one.
            climb.values = {key: double(value) for key, value in draft.values.items()}
            climb.round_slopes(ascent.levels)
            ascent = Ascent(iterations=0)
    walk, lower, settled = _ascend(climb, ascent, settle, expired)
    return Optimised(lower, walk.form, walk.weights, climb.slopes(), climb.multipliers(), settled)


def _ascend(
    climb: _Climb, ascent: Ascent, settle: Settle | None, expired: Callable[[], bool]
) -> tuple[Walk, Array, Array | None]:
    """Climb in place; (the walk of the values it ends with, best bound met [batch, rows], mask of settled elements)."""
    adam = Adam({key: ascent.multiplier_rate if key.startswith("beta") else ascent.slope_rate for key in climb.values})
    best = settled = None
    kept: dict[str, Array] = {}
    walk, planes = climb.walk()
    for iteration in range(ascent.iterations + 1):
        lower = climb.relaxed.least(walk.form)
        if settle is None and ascent.iterations > 0:
            kept = _better(kept, climb.values, None if best is None else lower > best)
        best = lower if best is None else namespace(lower).maximum(best, lower)
        if settle is not None:
            now = settle(best)
            settled = now if settled is None else settled | now
            if bool(settled.all()):
                break
        if iteration == ascent.iterations or not climb.values or expired():
            break
        grads = climb.gradients(walk, planes)
        adam.update(climb.values, grads, ascent.decay**iteration, settled)
        climb.project()
        walk, planes = climb.walk()
    if kept:
        climb.values = kept
        walk, planes = climb.walk()
    return walk, best, settled


def _better(kept: dict[str, Array], values: dict[str, Array], improved: Array | None) -> dict[str, Array]:
    """The kept values, with those of the rows that improved, [batch, rows], replaced (all of them at first)."""
    if improved is None:
        return dict(values)
    xp = namespace(improved)
    return {
        key: xp.where(improved.reshape(tuple(improved.shape) + (1,) * (value.ndim - 2)), value, kept[key])
        for key, value in values.items()
    }


def _has_draft(relaxed: Relaxed) -> bool:
    """Whether single precision will do to look for parameters."""
    return relaxed.network.library.dtype == "float64" and all(
        node.nonlinear_op.drafts for node in relaxed.network.nonlinear
    )


def _in_single(
    relaxed: Relaxed, rows: Rows, splits: Mapping[str, Split], start: _Climb
) -> tuple[Relaxed, Rows, Mapping[str, tuple[Array, ...]], Mapping[str, Split], Mapping[str, Array]]:
    """The arguments of the same climb in single precision, without account of its rounding."""
    draft = Relaxed(relaxed.network.single, Interval(*map(single, relaxed.box)), ball=relaxed.ball)
    for node in draft.network.nonlinear:
        inputs = [Interval(*map(single, relaxed.intervals[name])) for name in node.inputs]
        draft.relax(node, node.nonlinear_op.relax(*inputs))
    coefficients = {name: single(array) for name, array in rows.coefficients.items()}
    signs = {
        name: Split(single(split.sign), None if split.point is None else single(split.point))
        for name, split in splits.items()
    }
    slopes = {name: tuple(map(single, arrays)) for name, arrays in start.slopes().items()}
    multipliers = {name: single(array) for name, array in start.multipliers().items()}
    return draft, Rows(coefficients, single(rows.offset)), slopes, signs, multipliers


class _Climb:
    """The free values of one ascent, flat by key: "alpha:NODE:i" for parameter i of a node, "beta:VALUE"."""

    def __init__(
        self,
        relaxed: Relaxed,
        rows: Rows,
        slopes: Mapping[str, tuple[Array, ...]] | None,
        splits: Mapping[str, Split],
        multipliers: Mapping[str, Array] | None,
    ) -> None:
        self.relaxed, self.rows, self.splits = relaxed, rows, splits
        self.network = relaxed.network
        self.nodes = [node.name for node in self.network.nonlinear]
        starts = {name: relaxed.relaxations[name].start() for name in self.nodes}
        # Where all subproblems have the same box, it may have a batch axis of 1.
        batch = max([relaxed.box.lower.shape[0], *(s.shape[0] for parts in starts.values() for s in parts)])
        count = rows.count
        self.values: dict[str, Array] = {}
        for name in self.nodes:
            given = slopes.get(name) if slopes is not None else None
            for i, start in enumerate(given if given is not None else starts[name]):
                shape = (batch, count, *start.shape[2:])
                self.values[f"alpha:{name}:{i}"] = namespace(start).broadcast_to(start, shape)
        for name, split in splits.items():
            shape = (batch, count, *split.sign.shape[1:])
            start = multipliers.get(name) if multipliers is not None else None
            if start is None:
                start = 0.0 * split.sign[:, None]
            self.values[f"beta:{name}"] = namespace(start).broadcast_to(start, shape)

    def slopes(self) -> dict[str, tuple[Array, ...]]:
        """Parameters by node."""
        return {name: self._parameters(name) for name in self.nodes}

    def multipliers(self) -> dict[str, Array]:
        """Multipliers by value."""
        return {name: self.values[f"beta:{name}"] for name in self.splits}

    def _parameters(self, name: str) -> tuple[Array, ...]:
        count = len(self.relaxed.relaxations[name].start())
        return tuple(self.values[f"alpha:{name}:{i}"] for i in range(count))

    def walk(self) -> tuple[Walk, dict[str, Planes]]:
        """The backward walk with the current values."""
        planes = {name: self.relaxed.relaxations[name].planes(self._parameters(name)) for name in self.nodes}
        extra, rows = {}, self.rows
        for name, split in self.splits.items():
            signed = split.sign[:, None] * self.values[f"beta:{name}"]
            extra[name] = -signed
            if split.point is not None:
                xp = namespace(signed)
                gift = xp.sum(signed * split.point[:, None], axis=tuple(range(2, signed.ndim)))
                rows = Rows(rows.coefficients, rows.offset + gift)
        return backward(self.network, rows, planes, noise=self.relaxed.noise, extra=extra, keep=True), planes

    def gradients(self, walk: Walk, planes: dict[str, Planes]) -> dict[str, Array]:
        """Gradient of each row's bound by its own values."""
        x = self.relaxed.lowest(walk.form)
        found = forward_planes(self.network, x, planes, walk.weights)
        grads: dict[str, Array] = {}
        for name in self.nodes:
            if name not in walk.weights:
                continue
            inputs = tuple(found[source] for source in self.network.by_name[name].inputs)
            parameters = self._parameters(name)
            parts = self.relaxed.relaxations[name].gradient(parameters, walk.weights[name], inputs)
            for i, part in enumerate(parts):
                grads[f"alpha:{name}:{i}"] = part
        for name, split in self.splits.items():
            value = found[name] if split.point is None else found[name] - split.point[:, None]
            grads[f"beta:{name}"] = -split.sign[:, None] * value
        return grads

    def round_slopes(self, levels: int | None) -> None:
        """To multiples of 1 / levels, if there are levels."""
        for key, value in self.values.items():
            if levels is not None and key.startswith("alpha"):
                self.values[key] = namespace(value).round(value * levels) / levels

    def project(self) -> None:
        """Back into the sound range: parameters in [0, 1], multipliers >= 0."""
        for key, value in self.values.items():
            top = None if key.startswith("beta") else 1.0
            self.values[key] = namespace(value).clip(value, min=0.0, max=top)
