"""Labelled samples from the usual files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from certify.dataset import make_dataset, read_dataset
from certify.errors import InputError

X, Y = np.arange(12.0).reshape(3, 4), np.array([2, 0, 1])


def test_npz_under_usual_names_and_under_given_ones(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X_test=X, labels=Y, other=Y[::-1])
    data = read_dataset(tmp_path / "a.npz")
    assert (data.x == X).all() and (data.labels == Y).all() and len(data.sha256) == 64
    assert (read_dataset(tmp_path / "a.npz", y="other").labels == Y[::-1]).all()


def test_npy_has_no_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X)
    data = read_dataset(tmp_path / "a.npy")
    assert data.y is None and (data.flat(4) == X).all()
    with pytest.raises(InputError, match="no labels"):
        _ = data.labels


@pytest.mark.parametrize("head", ["", "a,b,label,c\n"])
def test_csv_takes_the_column_of_labels(tmp_path: Path, head: str) -> None:
    column = 2 if head else 3
    (tmp_path / "a.csv").write_text(head + "".join(",".join(map(str, row)) + "\n" for row in X))
    data = read_dataset(tmp_path / "a.csv")
    assert (data.labels == X[:, column]).all() and (data.x == np.delete(X, column, axis=1)).all()


def test_idx_images_become_fractions_and_find_their_labels(tmp_path: Path) -> None:
    images, path = np.array([[[0, 255]], [[51, 102]]], np.uint8), tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 2, 1, 2) + images.tobytes()))
    labels = struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([7, 3])
    (tmp_path / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    data = read_dataset(path)
    assert data.x.shape == (2, 1, 1, 2) and data.x[1, 0, 0].tolist() == [0.2, 0.4] and data.labels.tolist() == [7, 3]


def test_digits_are_split_for_good() -> None:
    pytest.importorskip("sklearn")
    train, test, whole = (read_dataset(name) for name in ("digits:train", "digits:test", "digits"))
    assert len(train) == 1200 and len(test) == 597 and (np.concatenate([train.x, test.x]) == whole.x).all()
    assert train.x.shape[1:] == (1, 8, 8) and train.x.max() == 1.0


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("a.npz", b"PK\x03\x04broken", "cannot be read"),
        ("a.csv", b"1,2\n3\n", "cannot be read"),
        ("a.txt", b"hello", "npz"),
        ("a-idx", struct.pack(">4B2I", 0, 0, 8, 2, 2, 2) + b"abc", "3 elements"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=complaint):
        read_dataset(tmp_path / name)


@pytest.mark.parametrize(
    ("x", "y", "complaint"),
    [
        (X * np.nan, Y, "not finite"),
        (X, Y[:2], "labels for 3 samples"),
        (X, Y + 0.5, "whole numbers"),
        (X, Y - 1, "whole numbers"),
        (X[0], None, "shape"),
    ],
)
def test_what_is_not_a_data_set(x: np.ndarray, y: np.ndarray | None, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        make_dataset(x, y)
