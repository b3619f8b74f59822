"""Our own engine: CROWN, alpha-CROWN, branch and bound over inputs or rectifiers. Complete up to float64 rounding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np

from certify.arrays import NUMPY, Library
from certify.backends.base import Backend
from certify.errors import BackendError
from certify.network.graph import Network
from certify.ops.conv import Conv
from certify.problem import Problem
from certify.search.branch_and_bound import Accept, Progress
from certify.search.prove import Proof, Prover
from certify.settings import Budget, Settings

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

        torch.set_num_threads(os.cpu_count() or 1)
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
    """The prover, joined by a second process that looks for counterexamples in the boxes that come nearest to one."""

    seed = 0

    def search(self, accept: Accept) -> Proof:
        """Refute what is open, or accept what either process finds."""
        if not self.few or self.network.library != NUMPY:
            return super().search(accept)
        from certify.backends.native_falsify import falsify
        from certify.backends.second_process import Beside

        def work() -> Iterator[np.ndarray]:
            return falsify(self.problem, self.few, self.network, self.seed, self.budget)

        with Beside(accept, work) as accept_more:
            return super().search(accept_more)


def _prover(problem: Problem, settings: Settings, budget: Budget, progress: Progress) -> Prover:
    library = choose_library(problem.network, settings.device)
    if not settings.attack or settings.processes < 2:
        return Prover(problem, library, budget, progress)
    prover = NativeProver(problem, library, budget, progress)
    prover.seed = settings.seed
    return prover


BACKEND = Backend(
    "native",
    "CROWN, alpha-CROWN and branch and bound (beta-CROWN), on numpy or torch",
    True,
    lambda: None,
    _prover,
)
