"""Our own engine: CROWN, alpha-CROWN, branch and bound over inputs or rectifiers. Complete up to float64 rounding."""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np

from certify.arrays import NUMPY, Library
from certify.backends.base import Backend
from certify.errors import BackendError
from certify.network.graph import Network
from certify.ops.conv import Conv
from certify.problem import Problem
from certify.search.branch_and_bound import Progress
from certify.search.prove import Prover
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


def _prover(problem: Problem, settings: Settings, budget: Budget, progress: Progress) -> Prover:
    return Prover(problem, choose_library(problem.network, settings.device), budget, progress)


BACKEND = Backend(
    "native",
    "CROWN, alpha-CROWN and branch and bound (beta-CROWN), on numpy or torch",
    True,
    lambda: None,
    _prover,
)
