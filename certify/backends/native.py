"""Our own engine: CROWN, alpha-CROWN, branch and bound over inputs or rectifiers. Complete up to float64 rounding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from certify.arrays import NUMPY, Library
from certify.backends.base import Backend
from certify.bounds.intermediate import BoundRows
from certify.errors import BackendError
from certify.network.graph import Network
from certify.ops.conv import Conv
from certify.problem import Problem
from certify.search.branch_and_bound import Accept, Helper, Progress
from certify.search.input_split import InputSplit
from certify.search.prove import Prover
from certify.search.tree import RowForest
from certify.settings import Budget, Settings
from certify.threads import threads_wanted

if TYPE_CHECKING:
    from certify.search.value_split import ValueSplit

# Multiplications in the convolutions of one evaluation from which torch's kernels repay its import (1.4 s).
MANY_MULTIPLICATIONS = 1_000_000


def choose_library(network: Network, device: str) -> Library:
    """numpy for what is small or dense on the CPU; torch for convolutions of size, and for CUDA where it is there."""
    if device == "cuda" or (device == "auto" and _is_large(network)):
        if find_spec("torch") is None:
            if device == "cuda":
                raise BackendError("--device cuda needs torch", "install it with: pip install torch")
            return NUMPY
        import torch

        torch.set_num_threads(threads_wanted())
        if torch.cuda.is_available():
            return Library("torch", "float64", "cuda")
        if device == "cuda":
            raise BackendError("torch finds no CUDA device", "use --device cpu, or install a CUDA build of torch")
        return Library("torch", "float64", "cpu")
    if device == "cpu" and _is_large(network) and find_spec("torch") is not None:
        return Library("torch", "float64", "cpu")
    return NUMPY


def _is_large(network: Network) -> bool:
    convolutions = [node.op for node in network.nodes if isinstance(node.op, Conv)]
    work = sum(int(np.prod(op.out_shape)) * int(np.prod(op.weight.shape[1:])) for op in convolutions)
    return work > MANY_MULTIPLICATIONS


class NativeProver(Prover):
    """The prover with help: for boxes of few inputs someone looks for counterexamples in another order (unless `seed`
    is None). On numpy and with `processes` more than one, that is a second process, which also takes over half of what
    is open in searches by signs, and half of the rows of a layer that is bounded by branch and bound.
    """

    seed: int | None = None
    processes = 1

    @property
    def _two(self) -> bool:
        return self.processes > 1 and self.network.library == NUMPY

    def _helped(
        self, brancher: InputSplit | ValueSplit, accept: Accept, budget: Budget
    ) -> AbstractContextManager[tuple[Accept, Helper | None]]:
        if isinstance(brancher, InputSplit) and self.seed is not None:
            from certify.backends.native_beside import Falsifier, FalsifierBeside

            beside = FalsifierBeside if self._two else Falsifier
            return beside(accept, partial(self._falsify, self.seed))
        if isinstance(brancher, InputSplit) or not self._two:
            return super()._helped(brancher, accept, budget)
        from certify.backends.native_sharing import Sharer

        return Sharer(brancher, budget, accept, self.progress)

    def _falsify(self, seed: int) -> Iterator[np.ndarray]:
        from certify.backends.native_falsify import falsify

        return falsify(self.problem, self.few, self.network, seed, self.budget, boxes=self._two)

    def _shared(self, bound_rows: BoundRows, record: list[RowForest] | None) -> BoundRows:
        if not self._two:
            return super()._shared(bound_rows, record)
        from certify.backends.native_sharing import RowSharer

        return RowSharer(bound_rows, record)


def _prover(problem: Problem, settings: Settings, budget: Budget, progress: Progress) -> Prover:
    prover = NativeProver(problem, choose_library(problem.network, settings.device), budget, progress)
    prover.seed = settings.seed if settings.attack else None
    prover.processes = settings.processes
    prover.evidence = settings.evidence
    if settings.follow is not None:
        from certify.search.plan_file import read_plan

        assert problem.query is not None
        prover.plan = read_plan(settings.follow, problem.query.sha256)
    return prover


BACKEND = Backend(
    "native",
    "CROWN, alpha-CROWN and branch and bound (beta-CROWN), on numpy or torch",
    True,
    lambda: None,
    _prover,
)
