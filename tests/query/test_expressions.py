"""What a condition built in Python says is what numpy computes: through text and reader, at random points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certify.errors import InputError
from certify.query.assemble import ModelFile, assemble
from certify.query.conditions import Condition, all_of, any_of, implies
from certify.query.expressions import Expression, tensor
from certify.query.read import parse_query
from certify.query.scalars import Source
from certify.witness.satisfies import satisfies

FILE = ModelFile(Path("a.onnx"), "")
FILE.inputs = (Source(FILE, "input", "in", "float32", (2, 2)),)
FILE.outputs = (Source(FILE, "output", "out", "float32", (3,)),)
HIDDEN = Source(FILE, "hidden", 'a "quoted"\\name', "float32", (1, 2))
X, Y, H = tensor(FILE.inputs[0]), tensor(FILE.outputs[0]), tensor(HIDDEN)
M = np.array([[1.0, -2.0, 0.0], [0.5, 0.0, 3.0]])

# On a grid of quarters all of these are exact in float64, ties are common.
EXPRESSIONS: list[Callable[..., object]] = [
    lambda x, y, h: x[0, 1] - y[2],
    lambda x, y, h: -x,
    lambda x, y, h: x.T + x,
    lambda x, y, h: 2 * x - 0.25 + 1 - x,
    lambda x, y, h: (M @ y) - h[0],
    lambda x, y, h: y @ M.T,
    lambda x, y, h: x @ M[:, :2],
    lambda x, y, h: y[::-1] * y - 0.5 * y[1] ** 3,
    lambda x, y, h: x.sum() - x.sum(axis=0).sum(axis=0) / 2,
    lambda x, y, h: x.reshape(4)[1:] - y,
    lambda x, y, h: abs(x - 0.25),
    lambda x, y, h: 1.5 - 2 * abs(y - 0.5) - x[0, 0],
    lambda x, y, h: abs(x - 0.5).sum() + y[0],
    lambda x, y, h: abs(y[0] - y[1]) - abs(h).sum(),
    lambda x, y, h: y.max() - x.min(axis=1),
    lambda x, y, h: 0.25 - abs(y).max() * 2,
    lambda x, y, h: (abs(y[:2]) + y.max()).max() - h[0],
    lambda x, y, h: abs(y) * -2.0 + y.max() * 0.0,
    lambda x, y, h: np.array([0.25, 0.5, 0.75]) - y,
    lambda x, y, h: [y[0] * y[1], 1.0] * h[0] if isinstance(y, Expression) else np.array([y[0] * y[1], 1.0]) * h[0],
    lambda x, y, h: x * 0.0 + h[0, 0],
]
RELATIONS: list[Callable[..., object]] = [
    lambda a, b: a <= b, lambda a, b: a < b, lambda a, b: a >= b,
    lambda a, b: a > b, lambda a, b: a == b, lambda a, b: a != b,
]  # fmt: skip
KEEP = any_of(X[0, 0] <= 0, X[0, 0] > 0, Y[0] <= 0, Y[0] > 0, H[0, 0] <= 0, H[0, 0] > 0)  # true; mentions all


def points(seed: int, count: int = 12) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [tuple(rng.integers(-4, 5, size=s) / 4.0 for s in ((2, 2), 3, (1, 2))) for _ in range(count)]  # type: ignore[misc]


def truth(condition: Condition, x: np.ndarray, y: np.ndarray, h: np.ndarray) -> bool:
    """What the text of a condition says."""
    text, _ = assemble([all_of(condition, KEEP).assertions.item()])
    query = parse_query(text)
    return satisfies(query, {"X": x.ravel(), "Y": y.ravel(), "H": h.ravel()})


@pytest.mark.parametrize("number", range(len(EXPRESSIONS)))
def test_an_expression_means_what_numpy_computes(number: int) -> None:
    expression = EXPRESSIONS[number](X, Y, H)
    assert isinstance(expression, Expression)
    for seed, relation in enumerate(RELATIONS):
        condition = relation(expression, 0.25)
        assert isinstance(condition, Condition)
        for x, y, h in points(seed, 4):
            value = np.asarray(EXPRESSIONS[number](x, y, h))
            assert expression.shape == value.shape
            expected = np.asarray(relation(value, 0.25))
            for index in np.ndindex(expected.shape):
                assert truth(condition[index], x, y, h) == expected[index]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_combinations_and_their_negation(data: st.DataObject) -> None:
    """all_of, any_of, implies, & and | of two arrays of conditions, and the exact opposite."""
    pick = [data.draw(st.tuples(st.sampled_from(EXPRESSIONS), st.sampled_from(RELATIONS))) for _ in range(2)]

    def of(*arguments: object) -> list[object]:
        return [relation(expression(*arguments), 0.25) for expression, relation in pick]

    a, b = of(X, Y, H)
    assert isinstance(a, Condition)
    assert isinstance(b, Condition)
    built = [a.all() & b.any(), a.any() | b.all(), implies(all_of(a), any_of(b)), ~(a.any() & b.all())]
    for x, y, h in points(data.draw(st.integers(0, 10**6)), 4):
        p, q = (np.asarray(value) for value in of(x, y, h))
        expected = [p.all() & q.any(), p.any() | q.all(), not p.all() or q.any(), not (p.any() & q.all())]
        for condition, value in zip(built, expected, strict=True):
            assert truth(condition, x, y, h) == value
            assert truth(~condition, x, y, h) == (not value)


def test_what_is_written_is_strict_and_plain() -> None:
    text, files = assemble([all_of(X >= -1, X <= 1, abs(X[0] - 0.5) <= 0.25, ~(Y[0] > Y[1:])).assertions.item()])
    assert files == {"N": FILE.path}
    assert not parse_query(text, strict=True).warnings
    assert "(assert (<= X[0,1] 0.75))" in text
    assert "(assert (>= X[0,1] 0.25))" in text
    assert text.count("(<= Y[0] Y[1])") == 1
    assert "declare-hidden" not in text


def test_a_condition_shows_what_it_says() -> None:
    assert repr(Y[0] <= 2 * Y[1]) == "<condition (<= out[0] (* 2.0 out[1]))>"
    assert repr(all_of(X <= 1)) == "<condition (and (<= in[0] 1.0) (<= in[1] 1.0) (<= in[2] 1.0) ...)>"
    assert (repr(X <= 1), repr(X)) == ("<condition [2, 2]>", "<expression [2, 2]>")


def test_constants_enter_exactly() -> None:
    """0.1 + 0.2 is no float64: the bound stays a sum."""
    text, _ = assemble([all_of(X - 0.1 <= 0.2, X - np.float32(0.1) >= -1e-30).assertions.item()])
    assert "(<= (- X[0,0] 0.1) 0.2)" in text
    assert "0.10000000149011612" in text
    assert satisfies(parse_query(text), {"X": np.full(4, float(np.float32(0.1))), "Y": np.zeros(3)})


def test_long_sums_and_chains_stay_flat() -> None:
    wide = tensor(Source(FILE, "input", "wide", "float32", (3000,)))
    left = sum(wide[i] if i % 2 else -wide[i] for i in range(3000))
    chain = X[0, 0] <= 0
    for i in range(500):
        chain = chain | (X[0, 0] >= i)
    assert wide.sum().shape == left.shape == ()  # type: ignore[union-attr]
    text, _ = assemble([(chain & (X.sum() <= 1)).assertions.item()])
    assert len(parse_query(text).assertions) == 2


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: bool(Y[0] > 0), "no truth value"),
        (lambda: 0 <= Y[0] <= 1, "0 <= x"),
        (lambda: Y[0] > 0 and Y[1] > 0, "no truth value"),
        (lambda: bool(Y[0]), "no truth value"),
        (lambda: Y[3], "is no index"),
        (lambda: Y[0, 0], "is no index"),
        (lambda: Y[0.5], "is no index"),
        (lambda: Y["a"], "is no index"),
        (lambda: Y[Y > 0], "a condition is no index"),
        (lambda: X[:1][1:], "leaves nothing"),
        (lambda: Y.without(3), "is no index"),
        (lambda: X + Y, "do not fit"),
        (lambda: np.zeros((3, 3)) >= X, "do not fit"),
        (lambda: Y.reshape(3, 1) <= np.zeros(4), "paired with several"),
        (lambda: Y + np.zeros((2, 3)), "several numbers for each"),
        (lambda: np.zeros((2, 3)) <= Y, "several numbers for each"),
        (lambda: (Y > 0) & (X > 0), "do not fit"),
        (lambda: X @ Y, "matrix product"),
        (lambda: Y.sum(axis=1), "no axis 1"),
        (lambda: X.max(axis=2), "no axis 2"),
        (lambda: X.reshape(3), "cannot reshape"),
        (lambda: Y[0] <= np.nan, "NaN or infinite"),
        (lambda: np.array([0, np.inf, 0]) <= Y, "NaN or infinite"),
        (lambda: Y[0] <= 2**60 + 1, "no float64"),
        (lambda: Y[0] <= "1", "no array of numbers"),
        (lambda: Y[0] == None, "not a real number"),  # noqa: E711
        (lambda: Y[0] <= True, "no array of numbers"),
        (lambda: Y[0] <= 1j, "no array of numbers"),
        (lambda: Y[0] + (Y[1] > 0), "a condition is no number"),
        (lambda: Y / 3, "power of two"),
        (lambda: Y / 0, "power of two"),
        (lambda: 1 / Y, "no division"),
        (lambda: Y**0.5, "exponent"),
        (lambda: Y**17, "exponent"),
        (lambda: abs(Y[0]) * Y[1], "numbers only"),
        (lambda: abs(1 - abs(Y[0])), "minimum inside a maximum"),
        (lambda: abs(tensor(Source(FILE, "input", "w", "float32", (13,)))).sum() <= 1, "more than 4096"),
        (lambda: Y[0] >= Y, "compared with itself"),
        (lambda: all_of(), "no condition"),
        (lambda: any_of(True), "not True"),
        (lambda: assemble([(Y[0] * 0 <= 1).assertions.item()]), "mentions no network"),
        (lambda: len(Y[0]), "single expression"),
    ],
)
def test_what_is_refused(make: Callable[[], object], match: str) -> None:
    with pytest.raises(InputError, match=match):
        make()
