"""Small networks by linear and mixed-integer programs (HiGHS), with nothing concluded from the solver's own numbers.

The mixed-integer program of each goal (Tjeng et al. 2019) looks for a counterexample, which onnxruntime has to confirm.
What it takes for proven is proved again by branch and bound with a linear program at every node, whose duals are
evaluated by a backward walk with its rounding taken off.
"""

from __future__ import annotations

from importlib.util import find_spec

from certify.arrays import NUMPY
from certify.backends.base import Backend
from certify.errors import BackendError
from certify.problem import Problem, clauses
from certify.search.branch_and_bound import Accept, Outcome, Progress
from certify.search.prove import Prover
from certify.search.root import Root
from certify.settings import Budget, Settings

# Share of the time for the mixed-integer programs of one goal.
INTEGER_SHARE = 0.1
MOST_CLAUSES = 64


class HighsProver(Prover):
    """Every goal by splits of rectifiers, each subproblem by a linear program."""

    programs = True

    def __init__(self, problem: Problem, budget: Budget, progress: Progress) -> None:
        from certify.search.leaf_program import fits

        if not fits(problem.network):
            raise BackendError(
                "backend 'highs' takes networks of a few hundred rectifiers and no other activation",
                "use the default backend; it solves the linear programs that it needs by itself",
            )
        super().__init__(problem, NUMPY, budget, progress, few_inputs=0)

    def _split(self, root: Root, accept: Accept, began: float) -> None:
        if not root.broken and not self.budget.expired():
            self.progress.stage = "mixed-integer program"
            witness = self._least(root, accept)
            if witness is not None:
                self.proof.add(Outcome(False, True, float("-inf"), witness))
                return
        super()._split(root, accept, began)

    def _least(self, root: Root, accept: Accept) -> object:
        """A witness among the minimisers of the goal's open conjunctions."""
        import numpy as np

        from certify.bounds.backward import Rows
        from certify.search.leaf_program import solve

        budget = self.budget.share(INTEGER_SHARE)
        relaxed, rows = root.reduced(), root.rows()
        for clause, _ in zip(clauses(root.goal.formula, root.margins > 0.0), range(MOST_CLAUSES), strict=False):
            if budget.expired():
                break
            index = np.array(clause)
            part = Rows({name: c[:, index] for name, c in rows.coefficients.items()}, rows.offset[:, index])
            solution = solve(relaxed, part, {}, integer=True, seconds=budget.remaining())
            witness = accept(solution.point[None]) if solution is not None else None
            if witness is not None:
                return witness
        return None


def _prover(problem: Problem, settings: Settings, budget: Budget, progress: Progress) -> Prover:
    return HighsProver(problem, budget, progress)


BACKEND = Backend(
    "highs",
    "linear and mixed-integer programs for small networks, every bound proved again from the duals",
    True,
    lambda: None if find_spec("highspy") is not None else "pip install highspy",
    _prover,
)
