"""Pictures, pairs of runs, groups of causes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from certify.batch.origin import Box
from certify.batch.record import Record
from certify.report.finding import findings
from certify.report.pairs import pairs
from certify.report.pictures import Picture, pictures
from certify.report.plots import cactus
from certify.report.policy import Policy
from certify.report.summary import by_category, causes

POLICY = Policy()


def pixels(picture: Picture) -> np.ndarray:
    """What the picture shows, [height, width] or [height, width, channels]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))))


def box(shape: tuple[int, ...], lower: float = 0.0, upper: float = 1.0) -> Box:
    size = int(np.prod(shape))
    return Box(np.full(size, lower), np.full(size, upper), shape)


def test_a_small_picture_is_exact() -> None:
    values = np.linspace(0.0, 1.0, 64)
    middle, witness, difference = pictures(box((1, 1, 8, 8)), values)
    assert (pixels(middle) == 128).all()
    assert (pixels(witness)[..., 0] == np.rint(values * 255).reshape(8, 8)).all()
    assert pixels(difference)[0, 0, 0] == 0
    assert "at most 0.5" in difference.caption


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 3, 32, 32), (32, 32)), ((32, 20, 3), (20, 32)), ((1, 28, 28), (28, 28)), ((9, 7), (7, 9)),
        ((1, 784), (28, 28)), ((3072,), (32, 32)), ((1, 3, 224, 224), (64, 64)), ((1, 784, 1), (28, 28)),
    ],
)  # fmt: skip
def test_layouts(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    found = pictures(box(shape), np.random.default_rng(0).random(int(np.prod(shape))))
    assert [(p.width, p.height) for p in found] == [size] * 3
    assert all(pixels(p).shape[1::-1] == size for p in found)
    assert ("a guess" in found[0].caption) == (max(shape) == np.prod(shape))
    assert ("scaled down" in found[0].caption) == (224 in shape)


@pytest.mark.parametrize("shape", [(5,), (1, 5), (2, 3), (1, 50), (2, 8, 8), (4, 4), ()])
def test_what_is_no_image(shape: tuple[int, ...]) -> None:
    assert pictures(box(shape), np.zeros(int(np.prod(shape)))) == []


def test_channels_first_and_last() -> None:
    red = np.zeros((3, 16, 16))
    red[0] = 1.0
    assert pixels(pictures(box((3, 16, 16)), red.ravel())[1])[4, 4].tolist()[:3] == [255, 0, 0]
    assert pixels(pictures(box((16, 16, 3)), red.transpose(1, 2, 0).ravel())[1])[4, 4].tolist()[:3] == [255, 0, 0]


def test_where_there_is_no_middle_the_witness_stands_alone() -> None:
    found = pictures(Box(np.full(64, -np.inf), np.ones(64), (8, 8)), np.zeros(64))
    assert [picture.caption for picture in found] == ["the witness"]


def instance(name: str, status: str, **values: object) -> Record:
    return Record("k", values.pop("category", "c"), {"": "onnx/m.onnx"}, name, 1.0, status, **values)  # type: ignore[arg-type]


def test_pairs_by_content_else_by_name() -> None:
    first = [instance("/a/s1", "sat", sha256={"x": "1"}), instance("/a/s2", "sat", sha256={"x": "2"})]
    second = [instance("/b/other", "unsat", sha256={"y": "2"}), instance("/b/s1", "sat", sha256={"y": "9"})]
    found = pairs(findings(first, POLICY), findings(second, POLICY))
    assert [(pair.first.record.spec, pair.second.record.spec) for pair in found] == [("/a/s2", "/b/other")]
    assert found[0].conflicting
    bare = [instance("/b/s1.gz", "timeout"), instance("/b/s1", "sat", category="d")]
    found = pairs(findings(first, POLICY), findings(bare, POLICY))
    assert [(pair.first.record.spec, pair.second.record.spec) for pair in found] == [("/a/s1", "/b/s1.gz")]
    assert not found[0].conflicting


def test_causes_are_told_apart_by_more_than_numbers() -> None:
    records = [
        instance("s1", "error", reason="s1:3:14: '/' is wrong"),
        instance("s2", "error", reason="s2:4:1: '/' is wrong"),
        instance("s3", "error", reason="no such file"), instance("s4", "timeout", reason="", bound=-2.0),
        instance("s5", "timeout", reason="", bound=-1.0), instance("s6", "timeout", reason=""), instance("s7", "sat"),
    ]  # fmt: skip
    found = [(cause.status, len(cause.findings), cause.closest) for cause in causes(findings(records, POLICY))]
    assert found == [("timeout", 3, -1.0), ("error", 2, None), ("error", 1, None)]


def test_sums() -> None:
    records = [instance("a", "sat", wall=1.0), instance("b", "unsat", wall=2.0), instance("c", "unknown", category="d")]
    rows = by_category([*findings(records, POLICY, "x"), *findings(records[:1], POLICY, "y")])
    assert [(row.name, row.total, row.counts["violated"], row.seconds) for row in rows] == [
        ("x c", 2, 1, 3.0), ("x d", 1, 0, 0.0), ("x all", 3, 1, 3.0), ("y c", 1, 1, 1.0),
    ]  # fmt: skip


def test_plots_are_the_same_every_time() -> None:
    found = findings([instance("a", "sat", wall=1.0), instance("b", "unsat", wall=2.0)], POLICY)
    assert cactus({"": found}) == cactus({"": found})
    assert "<metadata>" not in cactus({"": found})
