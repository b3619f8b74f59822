"""Ops move between array libraries: floating point parameters move, indices stay, shapes never change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from op_cases import LIBRARIES, TORCH, emitted_ops

from certify.arrays import Library, namespace, negative, positive, to_numpy
from certify.ops.kinds import Op

OPS = emitted_ops()


@pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
def test_parameters_move_and_come_back(op: Op) -> None:
    moved = op.on(TORCH)
    for f in dataclasses.fields(op):
        before, after = getattr(op, f.name), getattr(moved, f.name)
        if isinstance(before, np.ndarray) and before.dtype.kind == "f":
            assert not isinstance(after, np.ndarray)
            np.testing.assert_array_equal(to_numpy(after).reshape(before.shape), before)
        else:
            assert after is before


@pytest.mark.parametrize("library", LIBRARIES)
def test_rank_0_stays_rank_0(library: Library) -> None:
    assert tuple(library.put(np.array(1.5)).shape) == ()


@pytest.mark.parametrize("library", LIBRARIES)
def test_put_changes_the_type_of_floats_only(library: Library) -> None:
    single = dataclasses.replace(library, dtype="float32")
    assert "float32" in str(single.put(np.ones(2)).dtype)
    assert "float64" in str(library.put(np.ones(2, np.float32)).dtype)
    assert "int64" in str(library.put(np.arange(2)).dtype)


@pytest.mark.parametrize("library", LIBRARIES)
def test_signed_parts(library: Library) -> None:
    x = library.put(np.array([-2.0, 0.0, 3.0]))
    np.testing.assert_array_equal(to_numpy(positive(x)), [0.0, 0.0, 3.0])
    np.testing.assert_array_equal(to_numpy(negative(x)), [-2.0, 0.0, 0.0])
    assert namespace(x).__name__.split(".")[-1] == library.name
