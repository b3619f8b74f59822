"""Branching on hidden values, bounded by beta-CROWN (Wang et al. 2021). For problems where many inputs vary.

A subproblem is a list of constraints on hidden values (the sign of what feeds a rectifier, the side of a point for what
feeds another op; Shi et al. 2024), with bounds of hidden values that hold in it: the root's to begin with, computed
anew under the constraints where a large subtree lies below (`refine`), clipped by the row's own form where inputs are
few. Every conjunction that can make the formula true is a task of its own, with its own slopes and multipliers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from certify.arrays import NUMPY, Array, to_numpy
from certify.bounds.backward import Rows
from certify.bounds.intermediate import Relaxed, intermediate_bounds
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.bounds.optimise import Ascent, Optimised, optimise
from certify.network.graph import Network
from certify.ops.relu import Relu
from certify.problem import Goal, Problem
from certify.search.branch_and_bound import Bounded
from certify.search.conjunctions import Conjunctions
from certify.search.cuts import Cuts
from certify.search.domain import Domains, concatenate, narrow
from certify.search.hidden_forms import clip_by_forms, hidden_forms
from certify.search.leaf_program import fits, solve_and_prove
from certify.search.pick.halfspace import Row, look_ahead
from certify.search.pick.pseudocost import Pseudocosts
from certify.search.pick.relaxation_gap import Ranking, relaxation_gap
from certify.search.record import walk_recorder
from certify.search.refine import Worth, first_bound, mark, refine
from certify.search.sign_cuts import Numbering, sides
from certify.search.signs import (
    as_splits,
    places,
    relaxed_under_signs,
    sign_children,
    split_anywhere,
    split_points,
)
from certify.search.stage import Part, Stage
from certify.search.tree import Clip, HiddenBounds, HiddenWalk, Leaves, SearchTree, ValueCut
from certify.settings import Budget

ASCENT = Ascent(iterations=12, slope_rate=0.1, multiplier_rate=0.1)
LAST_ASCENT = Ascent(iterations=300, slope_rate=0.1, multiplier_rate=0.2, decay=0.985)
BATCH_FLOATS = 2**21
LARGEST_BATCH = 256
# Splits ranked by a closed form that looks at both children, after a cheaper rule has picked so many; it sorts as many
# numbers per candidate as there are inputs, and above so many in all a further split costs less.
CANDIDATES = 16
LOOK_FLOATS = 2**11
# Complete clipping sorts as many numbers per domain as all hidden forms have; above this it costs more than it saves.
CLIP_FLOATS = 2**15
# Forms kept for looking ahead alone may be as large as this.
FORM_FLOATS = 2**24
# Domains whose hidden values are bounded anew in one go; each brings dozens of rows.
REFINED_AT_ONCE = 16


class Detail(NamedTuple):
    """The split of each domain: number of the place (`signs.places`), flat element, score (0: none)."""

    number: np.ndarray
    element: np.ndarray
    score: np.ndarray


class ValueSplit:
    """A `Brancher` that constrains hidden values. Tasks are the conjunctions left open in one goal."""

    def __init__(
        self,
        problem: Problem,
        goal: Goal,
        root: Relaxed,
        margins: np.ndarray,
        tree_bytes: int,
        programs: bool = False,
        space: Relaxed | None = None,
    ) -> None:
        """root: bounds on the goal's box, batch 1; margins: [atoms] lower bounds of the goal's rows proven already.

        programs: whether linear programs bound every subproblem, instead of only those that nothing else can close.
        space: where the subproblems live, if that is not the network itself.
        """
        self.problem, self.goal, self.root = problem, goal, root
        self.network = root.network
        self.space = root if space is None else space
        self.places = places(self.network)
        self.conjunctions = Conjunctions(problem, goal, margins)
        self.width = self.conjunctions.width
        self.tree = SearchTree(np.arange(len(self.conjunctions)), tree_bytes)
        self.worth = Worth()
        self.clipped = False
        self.programs = programs
        own = space is None
        self.fits = own and self.network.library == NUMPY and fits(self.network)
        self.values = list(self.network.relaxed_inputs)
        self.anywhere = split_anywhere(self.network)
        few = CANDIDATES * self.network.n_inputs <= LOOK_FLOATS and not self.anywhere
        self.forms = hidden_forms(root, self.values, FORM_FLOATS if few else CLIP_FLOATS) if own else {}
        self.looks = few and bool(self.forms)
        self.pseudocosts = Pseudocosts(self.space.network)
        self.clips = bool(self.forms) and sum(f.form.coefficient[0].size for f in self.forms.values()) <= CLIP_FLOATS

    def roots(self) -> Domains:
        """One domain per open conjunction."""
        count = len(self.conjunctions)
        signs = {v: np.zeros((count, *self.space.network.shapes[v]), dtype=np.int8) for v in self.values}
        margins = self.conjunctions.margins
        domains = Domains(
            np.repeat(self.goal.lower[None], count, axis=0),
            np.repeat(self.goal.upper[None], count, axis=0),
            np.arange(count),
            np.arange(count),
            np.zeros(count, dtype=int),
            margins,
            margins.max(axis=1),
            hidden={v: narrow(self.space.intervals[v], count) for v in self.values},
            signs=signs,
            points={v: np.zeros((count, *self.space.network.shapes[v]), dtype=np.float32) for v in self.anywhere},
            marks=_unsplit(margins.max(axis=1)),
        )
        return mark(domains, domains.depth)

    def batch_size(self, limit: int | None) -> int:
        """As many as keep one walk's arrays moderate."""
        widest = max(int(np.prod(shape)) for shape in self.space.network.shapes.values())
        size = max(1, min(LARGEST_BATCH, BATCH_FLOATS // (widest * self.width)))
        if limit is not None:
            total = sum(int(np.prod(shape)) for shape in self.space.network.shapes.values()) * self.width
            size = max(1, min(size, limit // (200 * total)))
        return size

    def bound(self, domains: Domains, budget: Budget) -> Bounded:
        """Optimise slopes and multipliers from where the parent ended; a domain closes when one of its rows does.

        Domains that promise a large subtree have their hidden values bounded once more first. Where no split is left
        that the bound would feel, the ascent itself has to go further: a long one follows.
        """
        every = np.arange(len(domains))
        parts = [Part(self._ascend(domains, ASCENT, budget), every, every)]
        tired = ~parts[0].stage.closed & self.worth.wanted(parts[0].stage.domains)
        if tired.any() and not budget.expired():
            part = parts[0].take(tired)
            parts.append(self._restart(part, self._refined(part, budget), ASCENT, budget))
            self.worth.learn(part.domains, parts[-1].domains)
        for part in list(parts):
            idle = ~part.stage.closed & ~(part.stage.ranking.score[:, 0] > 0.0)
            if idle[part.rows].any() and not budget.expired():
                part = part.take(idle)
                parts.append(self._restart(part, part.domains, LAST_ASCENT, budget))
        points = [self._solved(part, budget) for part in parts] if self.fits else []
        found = self._together([self._finished(part, budget) for part in parts if len(part.rows)], parts)
        return replace(found, points=np.concatenate([found.points, *points]))

    def _solved(self, part: Part, budget: Budget) -> np.ndarray:
        """Close what a linear program can of the part's domains that have no split left (or of all): points to try."""
        stage, points = part.stage, [np.zeros((0, self.network.n_inputs))]
        idle = ~(stage.ranking.score[part.rows, 0] > 0.0) | self.programs
        for row in part.rows[idle & ~stage.closed[part.rows]]:
            if budget.expired():
                break
            domain = stage.domains.select(np.array([row]))
            relaxed = relaxed_under_signs(self.root, domain)
            signs = {value: sign[0] for value, sign in domain.signs.items()}
            splits = as_splits(domain, self.network.library)
            rows = self._rows(domain.task, self.network)
            found = solve_and_prove(relaxed, rows, signs, splits, seconds=budget.remaining())
            if found is None:
                continue
            solution, proven = found
            points.append(solution.point[None])
            lower = float(proven.lower[0, 0])
            if lower > 0.0:
                stage.closed[row], stage.domains.bound[row] = True, lower
                self.tree.add(
                    Leaves(domain.node, domain.margins, proven.slopes, proven.multipliers, solution.weights[None])
                )
        return np.concatenate(points)

    def _restart(self, part: Part, domains: Domains, ascent: Ascent, budget: Budget) -> Part:
        """The part's places with these domains, bounded again."""
        return Part(self._ascend(domains, ascent, budget), np.arange(len(domains)), part.places)

    def _ascend(self, domains: Domains, ascent: Ascent, budget: Budget, record: bool = True) -> Stage:
        """One ascent; closed domains are recorded as leaves."""
        relaxed, found = self._bounds(domains, ascent, budget)
        keep = lambda array: to_numpy(array).astype(np.float32)  # noqa: E731
        slopes = {name: tuple(keep(s) for s in parts) for name, parts in found.slopes.items()}
        multipliers = {value: keep(m) for value, m in found.multipliers.items()}
        for value in self.values:
            if value not in multipliers:
                multipliers[value] = np.zeros((len(domains), self.width, *self.space.network.shapes[value]), np.float32)
        domains, closed = self._judged(domains, found, record)
        if record:
            domains = self._learned(domains)
        domains = first_bound(replace(domains, slopes=slopes, multipliers=multipliers))
        ranking = relaxation_gap(relaxed, found.weights, self.conjunctions.present(domains.task), CANDIDATES)
        return Stage(domains, closed, relaxed, found, ranking)

    def _judged(self, domains: Domains, found: Optimised, record: bool) -> tuple[Domains, np.ndarray]:
        """The domains with what an ascent proved and promises of them, and the mask of those it closed (recorded)."""
        margins = np.fmax(domains.margins, to_numpy(found.lower))
        bound = np.fmax(domains.bound, margins.max(axis=1))
        if self.width > 1:
            bound = np.fmax(bound, self.conjunctions.joint(domains, LinearForm(*map(to_numpy, found.form))))
        closed = bound > 0.0
        if record:
            self._record_leaves(domains, closed, margins, found)
        return replace(domains, margins=margins, bound=bound, marks=domains.marks | {"estimate": bound}), closed

    def _learned(self, domains: Domains) -> Domains:
        """Take note of what the splits that made these domains gained, once."""
        marks = domains.marks
        new = np.flatnonzero(marks["place"] >= 0)
        place, side, score, before = (marks[key][new] for key in ("place", "side", "score", "before"))
        self.pseudocosts.learn(place, side, score, marks["estimate"][new] - before)
        return replace(domains, marks=marks | {"place": np.full(len(domains), -1)})

    def _bounds(self, domains: Domains, ascent: Ascent, budget: Budget) -> tuple[Relaxed, Optimised]:
        relaxed = relaxed_under_signs(self.space, domains)
        if self.anywhere:
            # A cut is felt in everything computed from the value.
            network, box, known = self.space.network, relaxed.box, relaxed.intervals
            relaxed = replace(intermediate_bounds(network, box, known=known, bound_rows=None), noise=self.space.noise)
        library = self.space.network.library
        splits, put = as_splits(domains, library), library.put
        found = optimise(
            relaxed,
            self._rows(domains.task, self.space.network),
            ascent,
            slopes={n: tuple(put(s) for s in parts) for n, parts in domains.slopes.items()} or None,
            splits=splits,
            multipliers={v: put(m) for v, m in domains.multipliers.items() if v in splits},
            settle=lambda lower: (lower > 0.0).any(axis=1),
            expired=budget.expired,
        )
        return relaxed, found

    def _record_leaves(self, domains: Domains, closed: np.ndarray, margins: np.ndarray, found: Optimised) -> None:
        """Closed domains with the very parameters that closed them (children start from a rounded copy)."""
        index = np.flatnonzero(closed)
        slopes = {name: tuple(to_numpy(s)[index] for s in parts) for name, parts in found.slopes.items()}
        multipliers = {value: to_numpy(m)[index] for value, m in found.multipliers.items()}
        self.tree.add(Leaves(domains.node[index], margins[index], slopes, multipliers))

    def _refined(self, part: Part, budget: Budget) -> Domains:
        """The part's domains with tighter hidden bounds, and marked so."""
        domains, urgency = part.domains, part.urgency()
        found = []
        for first in range(0, len(domains), REFINED_AT_ONCE):
            some = np.arange(first, min(len(domains), first + REFINED_AT_ONCE))
            chosen = domains.select(some)
            if not budget.expired():
                hidden = self._refined_hidden(chosen, {v: u[some] for v, u in urgency.items()})
                chosen = replace(chosen, hidden=hidden)
            found.append(chosen)
        return mark(concatenate(found), domains.depth)

    def _refined_hidden(self, domains: Domains, urgency: dict[str, np.ndarray]) -> dict[str, Interval]:
        """Tighter bounds of the domains' hidden values (recorded). urgency: as in `refine`."""
        splits = as_splits(domains, self.network.library)
        walks: list[HiddenWalk] = []
        record = walk_recorder(walks) if self.tree.evidence else None
        hidden = refine(relaxed_under_signs(self.root, domains), splits, urgency, record)
        found = {v: narrow(hidden[v], len(domains)) for v in self.values}
        self.tree.add(HiddenBounds(domains.node, found, tuple(walks)))
        return found

    def _finished(self, part: Part, budget: Budget) -> Bounded:
        """A part's domains clipped, with the split of each that is still open."""
        stage, rows = part.stage, part.rows
        domains, closed = part.domains, stage.closed[rows].copy()
        ranking = Ranking(*(field[rows] for field in stage.ranking))
        still = np.flatnonzero(~closed)
        idle = still[~(ranking.score[still, 0] > 0.0)]
        if len(idle):
            blurred = self._splits_for_feasibility(domains.select(idle), budget)
            for field, other in zip(ranking, blurred, strict=True):
                field[idle] = other
        chosen = np.zeros(len(rows), dtype=int)
        busy = np.setdiff1d(still, idle)
        if len(busy) and self.looks:
            scores = self._look_ahead(stage, rows[busy])
            chosen[busy] = np.where(ranking.score[busy] > 0.0, scores, -1.0).argmax(axis=1)
        elif len(busy):
            place = self.pseudocosts.place(ranking.number[busy], ranking.element[busy])
            missing = np.maximum(-domains.marks["estimate"][busy], 1e-300)
            scores = self.pseudocosts.scores(place, ranking.score[busy], missing)
            chosen[busy] = np.where(ranking.score[busy] > 0.0, scores, -1.0).argmax(axis=1)
        detail = Detail(*(field[np.arange(len(rows)), chosen] for field in ranking))
        points = to_numpy(stage.found.form.minimiser(stage.relaxed.box))[rows[still]].reshape(-1, self.network.n_inputs)
        points = self._inputs(points)
        if self.clips and len(still):
            domains, empty = self._clipped(stage, rows, still, domains)
            closed |= empty
        return Bounded(domains, closed, points, detail)

    def _inputs(self, points: np.ndarray) -> np.ndarray:
        """The network's inputs that these ones of the space are, [k, n_inputs]."""
        return points

    def _look_ahead(self, stage: Stage, rows: np.ndarray) -> np.ndarray:
        """Scores [k, candidates] of the ranked splits, by the row that is nearest to closing each domain."""
        best = self.conjunctions.nearest(stage.domains.select(rows))
        form = LinearForm(*map(to_numpy, stage.found.form))
        box = Interval(stage.domains.lower, stage.domains.upper)
        nodes = [node.name for node in self.network.nonlinear if isinstance(node.op, Relu)]
        weights = {}
        for node in nodes:
            weight = stage.weights(node)
            weights[node] = weight[np.minimum(rows, len(weight) - 1), best]
        planes = {name: stage.relaxed.relaxations[name].planes(stage.found.slopes[name]) for name in nodes}
        at = np.minimum(rows, form.coefficient.shape[0] - 1)
        row = Row(form.coefficient[at, best], form.lower(box)[rows, best], weights, planes, rows, best)
        part = Interval(box.lower[rows], box.upper[rows])
        return look_ahead(self.network, self.forms, row, part, stage.ranking.number[rows], stage.ranking.element[rows])

    def _clipped(
        self, stage: Stage, rows: np.ndarray, still: np.ndarray, domains: Domains
    ) -> tuple[Domains, np.ndarray]:
        """The domains without what a row proves safe, (domains, mask of those that nothing is left of)."""
        form = LinearForm(*map(to_numpy, stage.found.form))
        some = np.minimum(rows[still], len(form.offset) - 1)
        form, part = LinearForm(*(field[some] for field in form)), domains.select(still)
        present, nearest = self.conjunctions.present(part.task), self.conjunctions.nearest(part)
        box, known, gone = clip_by_forms(part, form, present, nearest, self.forms)
        empty = np.zeros(len(domains), dtype=bool)
        empty[still] = gone
        lower, upper = domains.lower.copy(), domains.upper.copy()
        lower[still], upper[still] = box
        hidden = {v: Interval(*(side.copy() for side in domains.hidden[v])) for v in self.values}
        for value, tight in known.items():
            hidden[value].lower[still], hidden[value].upper[still] = tight
        self.clipped = True
        self.tree.add(Clip(domains.node[still], lower[still], upper[still], *self._evidence(stage, rows[still])))
        self.tree.add(HiddenBounds(domains.node[still], {v: Interval(*(b[still] for b in hidden[v])) for v in hidden}))
        self.tree.add(Leaves(domains.node[empty], domains.margins[empty], {}, {}))
        return replace(domains, lower=lower, upper=upper, hidden=hidden), empty

    def _evidence(
        self, stage: Stage, rows: np.ndarray
    ) -> tuple[dict[str, tuple[Array, ...]], dict[str, Array]] | tuple[()]:
        """Slopes and multipliers of some rows of a stage's batch, if they are to be kept."""
        if not self.tree.evidence:
            return ()
        slopes = {name: tuple(to_numpy(s)[rows] for s in parts) for name, parts in stage.found.slopes.items()}
        return slopes, {value: to_numpy(m)[rows] for value, m in stage.found.multipliers.items()}

    def _together(self, done: list[Bounded], parts: list[Part]) -> Bounded:
        """The parts' results in the order of the batch."""
        order = np.argsort(np.concatenate([part.places for part in parts if len(part.rows)]))
        domains = concatenate([b.domains for b in done]).select(order)
        detail = Detail(*(np.concatenate(field)[order] for field in zip(*(b.detail for b in done), strict=True)))
        closed = np.concatenate([b.closed for b in done])[order]
        return Bounded(domains, closed, np.concatenate([b.points for b in done]), detail)

    def _splits_for_feasibility(self, domains: Domains, budget: Budget) -> Ranking:
        """Splits for domains whose bound feels no open rectifier any more, but whose signs may contradict each other.

        With every multiplier raised, the walk shows which rectifiers blur the constraints of the signs already fixed.
        """
        raised = {value: multiplier + np.float32(1.0) for value, multiplier in domains.multipliers.items()}
        return self._ascend(replace(domains, multipliers=raised), Ascent(iterations=0), budget, record=False).ranking

    def _rows(self, task: np.ndarray, network: Network) -> Rows:
        """The rows of each domain's conjunction, for walks through the space's network or the problem's own."""
        return self.conjunctions.rows(task, network)

    def cut(self, bounded: Bounded) -> tuple[Domains, np.ndarray]:
        """Split the value that costs most; domains without one are stuck."""
        detail: Detail = bounded.detail
        number, element, score = detail.number, detail.element, detail.score
        open_ = ~bounded.closed
        stuck = open_ & ~(score > 0.0)
        chosen = np.flatnonzero(open_ & (score > 0.0))
        # The easiest come last, so that they are taken up first.
        chosen = chosen[np.argsort(bounded.domains.marks["estimate"][chosen])]
        domains, number, element, score = bounded.domains.select(chosen), number[chosen], element[chosen], score[chosen]
        point = split_points(self.space.network, domains, number, element)
        marks = domains.marks | {"place": self.pseudocosts.place(number, element), "score": score}
        marks["before"] = marks["estimate"]
        found = self._halve(replace(domains, marks=marks), number, element, point)
        return replace(found, marks=found.marks | {"side": np.tile([0, 1], len(number))}), stuck

    def _halve(self, domains: Domains, number: np.ndarray, element: np.ndarray, point: np.ndarray) -> Domains:
        children = self.tree.new_children(len(domains))
        values = [self.places[n].value for n in number]
        estimate = domains.marks["estimate"]
        self.tree.add(ValueCut(domains.node, values, self._flat(number, element), point, children, estimate))
        found = sign_children(self.space.network, domains, number, element, point)
        return replace(found, node=children.reshape(-1))

    @property
    def numbering(self) -> Numbering:
        """How elements are numbered."""
        return Numbering({} if self.tree.ground is None else self.tree.ground.kept)

    def sides(self, domains: Domains, cuts: Cuts) -> np.ndarray:
        """[batch] whether each domain lies wholly above (0) or below (1) a cut, or on both sides (BOTH)."""
        return sides(self.root, self.numbering, domains, cuts)

    def divide(self, domains: Domains, cuts: Cuts) -> Domains:
        """Both parts of each domain, which the cuts do divide, one after the other."""
        first = {place.value: number for number, place in reversed(list(enumerate(self.places)))}
        number = np.array([first[value] for value in cuts.value], dtype=int)
        pairs = zip(cuts.value, cuts.element, strict=True)
        numbers = self.numbering
        element = np.array([numbers.in_space(v, numbers.in_network(v, e[None]))[0] for v, e in pairs], dtype=int)
        point = np.where([value in domains.points for value in cuts.value], cuts.point, 0.0).astype(np.float32)
        marks = domains.marks | {"place": np.full(len(domains), -1)}
        return self._halve(replace(domains, marks=marks), number, element, point)

    def _flat(self, number: np.ndarray, element: np.ndarray) -> np.ndarray:
        """The flat elements of the network that these ones of the space are."""
        return element


def _unsplit(bound: np.ndarray) -> dict[str, np.ndarray]:
    """Marks of domains that no split made. estimate: [batch] what their bound may be, which need not be proven.

    place, side, score, before: of the split that made it, see `Pseudocosts`; place -1 where that is not to be learned
    from (any more).
    """
    nothing = np.zeros(len(bound))
    none = np.zeros(len(bound), dtype=int)
    return {"estimate": bound, "place": none - 1, "side": none, "score": nothing, "before": nothing}
