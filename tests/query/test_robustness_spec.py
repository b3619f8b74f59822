"""Robustness specifications contain exactly the inputs of the model's type that are in the ball."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certify.errors import InputError
from certify.query.formula import AnyOf
from certify.query.normal_form import lower
from certify.query.read import parse_query
from certify.query.robustness import robust_spec


@given(
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=5),
    st.one_of(st.floats(0, 10), st.sampled_from([0.0, 0.03, 1e-12, 8 / 255])),
    st.sampled_from(["float32", "float64"]),
    st.sampled_from(["1.0", "2.0"]),
)
def test_the_box_is_the_ball_on_the_grid_of_the_type(center: list[float], eps: float, dtype: str, version: str) -> None:
    text = robust_spec(np.array(center), eps, 0, 2, dtype=dtype, version=version)  # type: ignore[arg-type]
    (region,) = lower(parse_query(text, strict=True)).regions
    kind = np.dtype(dtype).type
    for x, low, high in zip(center, region.lower.tolist(), region.upper.tolist(), strict=True):
        assert kind(low) == low
        assert kind(high) == high
        assert Fraction(x) - Fraction(low) <= Fraction(eps)
        assert Fraction(high) - Fraction(x) <= Fraction(eps)
        below, above = float(np.nextafter(kind(low), kind(-np.inf))), float(np.nextafter(kind(high), kind(np.inf)))
        assert Fraction(x) - Fraction(below) > Fraction(eps)
        assert Fraction(above) - Fraction(x) > Fraction(eps)


def test_unsafe_where_another_class_reaches_the_label() -> None:
    for version in ("1.0", "2.0"):
        unsafe = lower(parse_query(robust_spec(np.zeros(3), 0.5, 1, 4, version=version), strict=True))  # type: ignore[arg-type]
        (region,) = unsafe.regions
        assert region.formula == AnyOf((0, 1, 2))
        assert unsafe.atoms.outputs.tolist() == [[-1, 1, 0, 0], [0, 1, -1, 0], [0, 1, 0, -1]]
        assert not unsafe.atoms.strict.any()


def test_two_classes() -> None:
    unsafe = lower(parse_query(robust_spec(np.zeros(1), 0.5, 1, 2, version="2.0"), strict=True))
    assert unsafe.atoms.outputs.tolist() == [[-1, 1]]


def test_clip_keeps_the_range_and_its_ends() -> None:
    text = robust_spec(np.array([0.02, 0.5, 0.99]), 0.1, 0, 2, clip=(0.0, 1.0), comment="clipped")
    (region,) = lower(parse_query(text)).regions
    assert region.lower[0] == 0.0
    assert region.upper[2] == 1.0
    assert text.startswith("; clipped\n")


def test_shape_and_type_are_declared_in_version_2() -> None:
    center = np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)
    assert "(declare-input X float32 [1,1,2,2])" in robust_spec(center, 0.1, 0, 3, version="2.0")
    text = robust_spec(center, 0.5, 0, 3, version="2.0", dtype="float64", shape=(4,))
    assert "(declare-input X float64 [4])" in text
    assert "(declare-output Y float64 [1,3])" in text
    assert "(>= X[3] 2.5)" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"label": 3}, "label 3 is not one of 3 classes"),
        ({"label": -1}, "label -1 is not one of 3 classes"),
        ({"eps": -0.1}, "radius -0.1"),
        ({"eps": float("nan")}, "radius nan"),
        ({"center": np.array([0.5, np.nan])}, "element 1 = nan"),
        ({"center": np.array([0.5, 2.0]), "clip": (0.0, 1.0)}, "element 1 = 2.0"),
        ({"shape": (3,)}, "does not fit the 2 elements"),
    ],
)
def test_what_makes_no_box_is_an_error(arguments: dict[str, object], message: str) -> None:
    usual = {"center": np.array([0.5, 0.5]), "eps": 0.1, "label": 0, "n_classes": 3}
    with pytest.raises(InputError, match=message):
        robust_spec(**{**usual, **arguments})  # type: ignore[arg-type]
