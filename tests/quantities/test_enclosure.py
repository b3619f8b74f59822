"""A quantity known from both sides."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from certify.errors import NumericalError
from certify.quantities.enclosure import Enclosure

POINT = np.array([0.5, 1.0])


def attained(lower: float, upper: float) -> Enclosure:
    return Enclosure(lower, upper, "a ball", upper_is="attained", witness=POINT, seconds=1.0)


@pytest.mark.parametrize("ends", [(1.0, 0.5), (math.nan, 1.0), (0.0, math.nan)])
def test_ends_that_cross_are_no_enclosure(ends: tuple[float, float]) -> None:
    with pytest.raises(NumericalError):
        Enclosure(*ends, "a ball")


def test_an_attained_end_needs_its_input() -> None:
    with pytest.raises(ValueError, match="attains"):
        Enclosure(0.0, 1.0, "a ball", upper_is="attained")


def test_the_intersection_keeps_the_evidence_of_the_end_it_takes() -> None:
    both = Enclosure(0.4, 2.0, "a ball", upper_is="trivial", seconds=2.0).intersect(attained(0.1, 0.5))
    assert (both.lower, both.upper, both.lower_is, both.upper_is) == (0.4, 0.5, "proven", "attained")
    assert both.witness is POINT
    assert both.seconds == 3.0


def test_what_contradicts_is_an_error() -> None:
    with pytest.raises(NumericalError):
        attained(0.1, 0.5).intersect(Enclosure(0.6, 1.0, "a ball"))


def test_json_has_no_infinity() -> None:
    data = Enclosure(0.25, math.inf, "a ball", "pixels", upper_is="trivial").as_dict()
    assert json.loads(json.dumps(data, allow_nan=False))["upper"] is None
    assert data["gap"] is None
    assert attained(0.0, 1.0).as_dict()["witness"] == [0.5, 1.0]
