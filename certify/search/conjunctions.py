"""The conjunctions of atoms that can make a goal's formula true: each is a task of its own for a search over values."""

from __future__ import annotations

from itertools import islice

import numpy as np

from certify.bounds.backward import Rows
from certify.bounds.clip import joint_bound
from certify.bounds.interval import Interval
from certify.bounds.linear_form import LinearForm
from certify.network.graph import INPUT, Network
from certify.problem import Goal, Problem, clauses
from certify.search.domain import Domains

MOST_CLAUSES = 20_000


class TooManyClausesError(Exception):
    """The formula has more conjunctions than can be searched one by one."""


class Conjunctions:
    """What is left of a goal's formula, as conjunctions of atoms.

    clauses: [conjunctions, width] positions of atoms in the goal, -1 for none; margins: [conjunctions, width] lower
    bounds of their margins that are proven already.
    """

    def __init__(self, problem: Problem, goal: Goal, margins: np.ndarray) -> None:
        """margins: [atoms] lower bounds of the goal's rows. Raises TooManyClausesError above MOST_CLAUSES."""
        found = list(islice(clauses(goal.formula, margins > 0.0), MOST_CLAUSES + 1))
        if len(found) > MOST_CLAUSES:
            raise TooManyClausesError
        self.problem, self.goal = problem, goal
        self.width = max([1, *(len(clause) for clause in found)])
        self.clauses = np.full((len(found), self.width), -1)
        for number, clause in enumerate(found):
            self.clauses[number, : len(clause)] = clause
        self.margins = np.where(self.clauses < 0, -1.0, np.append(margins, 0.0)[self.clauses])

    def __len__(self) -> int:
        return len(self.clauses)

    def present(self, task: np.ndarray) -> np.ndarray:
        """Mask [batch, width] of the atoms that the conjunctions of these tasks have."""
        found: np.ndarray = self.clauses[task] >= 0
        return found

    def rows(self, task: np.ndarray, network: Network) -> Rows:
        """The rows of each task's conjunction, for walks through this network."""
        put = network.library.put
        places = self.clauses[task]
        atoms = np.where(places < 0, -1, np.append(self.goal.atoms, -1)[places])
        outputs, inputs, offset = self.problem.margin_rows(atoms)
        coefficients = {network.output: put(outputs)}
        if inputs is not None:
            coefficients[INPUT] = put(inputs)
        return Rows(coefficients, put(offset))

    def nearest(self, domains: Domains) -> np.ndarray:
        """The row of each domain's conjunction that is nearest to being refuted, [batch]."""
        return np.where(self.present(domains.task), domains.margins, -np.inf).argmax(axis=1)

    def joint(self, domains: Domains, form: LinearForm) -> np.ndarray:
        """What the rows of each conjunction say together, [batch]. form: of the rows, [batch or 1, width, n_inputs]."""
        form = LinearForm(*(np.broadcast_to(part, (len(domains), *part.shape[1:])) for part in form))
        box = Interval(domains.lower, domains.upper)
        offset = form.offset - form.error
        return joint_bound(form.coefficient, offset, self.present(domains.task), box.center, box.radius)
