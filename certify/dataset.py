"""Reading labelled samples: .npz, .npy, .csv, the idx files of MNIST, and the digits that scikit-learn carries."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from certify.errors import InputError
from certify.files import read_bytes, resolve

SAMPLES = ("x", "X", "x_test", "X_test", "x_train", "X_train", "inputs", "images", "data", "features")
LABELS = ("y", "Y", "y_test", "Y_test", "y_train", "Y_train", "labels", "label", "targets", "target")
MEANT = "is the data meant for another model?"
SAVE = "numpy.savez(path, x=..., y=...)"
IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
# The random split of the 1,797 digits: the same for every command, so that no test sample is ever trained on.
DIGITS_SEED, DIGITS_TRAIN = 0, 1200


@dataclass(frozen=True)
class Dataset:
    """Samples and, where there are some, their classes.

    x: [samples, ...] of float64 in the model's own units; y: [samples] of int64, or None; name: what the user called
    it; sha256: of the file, or of the arrays where there is none.
    """

    x: np.ndarray
    y: np.ndarray | None
    name: str
    sha256: str

    def __len__(self) -> int:
        return len(self.x)

    @property
    def labels(self) -> np.ndarray:
        """The classes [samples]. Raises InputError where the data has none."""
        if self.y is None:
            raise InputError(f"{self.name}: these samples have no labels", "an .npz with an array 'y' has")
        return self.y

    def take(self, numbers: np.ndarray | slice) -> Dataset:
        """The samples of these numbers."""
        return replace(self, x=self.x[numbers], y=None if self.y is None else self.y[numbers])

    def flat(self, size: int, model: object = "the model") -> np.ndarray:
        """The samples as rows [samples, size]. Raises InputError unless each has `size` elements, as `model` takes."""
        rows = self.x.reshape(len(self.x), -1)
        if rows.shape[1] != size:
            shape = list(self.x.shape[1:])
            raise InputError(f"{self.name}: a sample has the shape {shape}, {model} takes {size} numbers", MEANT)
        return rows

    def check_labels(self, n_classes: int, model: object = "the model") -> None:
        """Raise InputError where a sample's class is none of the `n_classes` that `model` has. Without labels: pass."""
        if self.y is not None and self.y.max() >= n_classes:
            message = f"{self.name}: there is a label {self.y.max()}, {model} has the classes 0 to {n_classes - 1}"
            raise InputError(message, MEANT)


def read_dataset(path: str | Path, x: str | None = None, y: str | None = None) -> Dataset:
    """The samples of a file.

    path: `.npz` (arrays named `x` and `y`, or as is usual: SAMPLES, LABELS), `.npy` (samples alone), `.csv` (one sample
    a row, numbers, with or without a line of names; the column named like a label, or else the last one, is the class),
    the images of an idx file (bytes become 0..1; the labels lie beside it, under the name that MNIST uses), or one of
    `digits`, `digits:train`, `digits:test` (scikit-learn's, pixels in 0..1, [samples, 1, 8, 8]).
    Raises InputError for whatever cannot be read, is not finite, or has labels that are no whole numbers.
    """
    name = str(path)
    if name.split(":")[0] == "digits" and not Path(name).exists():
        return make_dataset(*_digits(name.partition(":")[2]), name)
    data = read_bytes(path)
    samples, labels = _read(resolve(path), data, x, y)
    return make_dataset(samples, labels, name, hashlib.sha256(data).hexdigest())


def make_dataset(x: np.ndarray, y: np.ndarray | None, name: str = "data", sha256: str = "") -> Dataset:
    """A data set of arrays that are checked: finite samples, one whole number from 0 as label for each."""
    x = np.asarray(x)
    if x.ndim < 2 or not len(x):
        raise InputError(f"{name}: the samples have the shape {list(x.shape)}", "the first axis counts samples")
    if x.dtype.kind not in "fiub":
        raise InputError(f"{name}: samples must be numbers, not {x.dtype}")
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise InputError(f"{name}: a sample holds a number that is not finite (NaN or infinity)")
    if y is not None:
        given = np.asarray(y)
        if given.shape not in ((len(x),), (len(x), 1)):
            found = f"{list(given.shape)} labels for {len(x)} samples"
            raise InputError(f"{name}: {found}", "labels are one class number per sample")
        given = given.ravel()
        if given.dtype.kind not in "fiub" or not (given == np.floor(given)).all() or given.min() < 0:
            hint = "of a .csv they are the column named label, or the last one"
            raise InputError(f"{name}: labels must be whole numbers from 0", hint if name.endswith(".csv") else "")
        y = given.astype(np.int64)
    sha256 = sha256 or hashlib.sha256(x.tobytes() + (b"" if y is None else y.tobytes())).hexdigest()
    return Dataset(x, y, name, sha256)


def _read(path: Path, data: bytes, x: str | None, y: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    kind = Path(path.name.removesuffix(".gz")).suffix
    try:
        if kind == ".npz":
            arrays = dict(np.load(io.BytesIO(data), allow_pickle=False))
            samples = _named(arrays, x, SAMPLES, path)
            if samples is None:
                if not arrays:
                    raise InputError(f"{path}: there is no array in it", SAVE)
                raise InputError(f"{path}: which of {', '.join(arrays)} holds the samples?", f"call it x: {SAVE}")
            return samples, _named(arrays, y, LABELS, path)
        if kind == ".npy":
            return np.load(io.BytesIO(data), allow_pickle=False), None
        if kind == ".csv":
            return _csv(data.decode("utf-8"), y, path)
        if data[:2] == b"\0\0" and len(data) > 4 and data[2] in IDX_TYPES:
            return _idx_images(data, path)
    except (ValueError, EOFError, UnicodeDecodeError, zipfile.BadZipFile, struct.error) as error:
        raise InputError(f"{path}: cannot be read as samples: {error}", "copy or write it again") from error
    raise InputError(f"{path}: samples are read from .npz, .npy, .csv and idx files", SAVE)


def _named(
    arrays: Mapping[str, np.ndarray], wanted: str | None, usual: tuple[str, ...], path: Path
) -> np.ndarray | None:  # fmt: skip
    if wanted is not None and wanted not in arrays:
        raise InputError(f"{path}: there is no array {wanted}, but {', '.join(arrays) or 'none'}")
    chosen = wanted or next((name for name in usual if name in arrays), None)
    return None if chosen is None else arrays[chosen]


def _csv(text: str, label: str | None, path: Path) -> tuple[np.ndarray, np.ndarray]:
    first = text.split("\n", 1)[0].strip()
    cells = [cell.strip().strip('"') for cell in first.split(",")]
    try:
        [float(cell) for cell in cells]
        names: list[str] = []
    except ValueError:
        names = cells
    table = np.loadtxt(io.StringIO(text), delimiter=",", skiprows=int(bool(names)), ndmin=2)
    if label is not None and label not in names:
        raise InputError(f"{path} has no column '{label}'", f"columns: {', '.join(names) or 'no names in line 1'}")
    wanted = label or next((name for name in LABELS if name in names), None)
    column = names.index(wanted) if wanted is not None else table.shape[1] - 1
    return np.delete(table, column, axis=1), table[:, column]


def _idx_images(data: bytes, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    images = _idx(data, path)
    if images.ndim < 2:
        raise InputError(f"{path}: holds labels, not samples", "name the file of images; labels are found beside it")
    scaled = images / 255.0 if images.dtype == np.uint8 else images
    beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    labels = _idx(read_bytes(beside), beside) if beside != path and beside.exists() else None
    return scaled[:, None] if scaled.ndim == 3 else scaled, labels


def _idx(data: bytes, path: Path) -> np.ndarray:
    rank, start = data[3], 4 + 4 * data[3]
    shape = struct.unpack(f">{rank}I", data[4:start])
    values = np.frombuffer(data, IDX_TYPES[data[2]], offset=start)
    if values.size != int(np.prod(shape)):
        raise InputError(f"{path}: {values.size} elements where its head says {list(shape)}", "copy it again")
    return values.reshape(shape)


def _digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    if part not in ("", "train", "test"):
        raise InputError(f"digits:{part}: no such part of the digits", "digits, digits:train or digits:test")
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError("the digits come with scikit-learn, which is missing", "pip install scikit-learn") from error
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(DIGITS_SEED).permutation(len(labels))
    chosen = {"": order, "train": order[:DIGITS_TRAIN], "test": order[DIGITS_TRAIN:]}[part]
    return images[chosen].reshape(-1, 1, 8, 8) / 16.0, labels[chosen]
