"""Resize and Upsample, axis by axis: the nearest element, or a mixture of the two nearest.

Coordinates are computed in float32 as onnxruntime does, since ties decide which element is the nearest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from certify.ops.arithmetic import add, scale
from certify.ops.registry import Builder, Example, NodeSpec, Value, register
from certify.ops.select import take


def _coordinates(node: NodeSpec, mode: str, n_in: int, n_out: int, factor: float) -> np.ndarray:
    """Where each output element lies among the input's, [n_out]."""
    x, s = np.arange(n_out, dtype=np.float32), np.float32(factor)
    half = np.float32(0.5)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and n_out > 1):
        return (x + half) / s - half
    if mode == "pytorch_half_pixel":
        return np.zeros(1, np.float32)
    if mode == "asymmetric":
        return x / s
    if mode == "align_corners":
        return x * np.float32(n_in - 1) / np.float32(n_out - 1) if n_out > 1 else np.zeros(1, np.float32)
    raise node.unsupported(f"coordinate_transformation_mode '{mode}'")


def _nearest(node: NodeSpec, mode: str, x: np.ndarray) -> np.ndarray:
    """Integers next to the coordinates."""
    if mode == "floor":
        return np.floor(x)
    if mode == "ceil":
        return np.ceil(x)
    if mode == "round_prefer_ceil":
        return np.floor(x + np.float32(0.5))
    if mode == "round_prefer_floor":
        return np.ceil(x - np.float32(0.5))
    raise node.unsupported(f"nearest_mode '{mode}'")


def _resized(
    node: NodeSpec, build: Builder, x: Value, axis: int, n_out: int, factor: float, modes: tuple[str, str, str]
) -> Value:
    """X resized along one axis; modes: interpolation, coordinates, nearest."""
    n_in = x.shape[axis]
    if n_out == n_in and factor == 1.0:
        return x
    if n_out == n_in:
        raise node.unsupported(f"a scale of {factor} that changes no length, which runtimes treat differently")
    places = _coordinates(node, modes[1], n_in, n_out, factor)
    if modes[0] == "nearest":
        return take(build, x, axis, np.clip(_nearest(node, modes[2], places), 0, n_in - 1))
    places = np.clip(places, 0, n_in - 1).astype(np.float64)
    left = np.floor(places).astype(np.int64)
    share = (places - left).reshape([-1 if i == axis else 1 for i in range(len(x.shape))])
    first = scale(build, take(build, x, axis, left), 1.0 - share)
    return add(build, first, scale(build, take(build, x, axis, np.minimum(left + 1, n_in - 1)), share))


def _resize(node: NodeSpec, build: Builder, scales: Any, sizes: Any, modes: tuple[str, str, str]) -> Value:
    x = node.variable()
    if modes[0] not in ("nearest", "linear"):
        raise node.unsupported(f"mode '{modes[0]}'")
    if sizes is not None and np.size(sizes):
        lengths = [int(n) for n in np.asarray(sizes)]
        factors = [float(np.float32(n) / np.float32(m)) for n, m in zip(lengths, x.shape, strict=True)]
    else:
        factors = [float(f) for f in np.asarray(scales, dtype=np.float32)]
        lengths = [int(np.floor(np.float32(n) * np.float32(f))) for n, f in zip(x.shape, factors, strict=True)]
    for axis, (length, factor) in enumerate(zip(lengths, factors, strict=True)):
        x = _resized(node, build, x, axis, length, factor, modes)
    return x


def _scales(*values: float) -> np.ndarray:
    return np.array([1.0, 1.0, *values], np.float32)


NONE = np.zeros(0, np.float32)


@register("Resize", since=10, handled="nearest: no computation; linear: linear",
          examples=lambda: [Example([(1, 1, 2, 3), _scales(2.0, 2.0)], opset=10)])  # fmt: skip
def resize_early(node: NodeSpec, build: Builder) -> Value:
    """Opset 10: coordinates are asymmetric, the nearest is the one before."""
    return _enlarged(node, build)


@register("Upsample", handled="nearest: no computation; linear: linear",
          examples=lambda: [Example([(1, 1, 2, 3), _scales(2.0, 1.5)], opset=9),
                            Example([(1, 1, 2, 3), _scales(2.0, 2.0)], {"mode": "linear"}, opset=9)])  # fmt: skip
def upsample(node: NodeSpec, build: Builder) -> Value:
    """Coordinates are asymmetric, the nearest is the one before."""
    return _enlarged(node, build)


def _enlarged(node: NodeSpec, build: Builder) -> Value:
    """Only to larger sizes, where runtimes agree."""
    scales = np.asarray(node.setting("scales", 1), dtype=np.float32)
    if (scales < 1.0).any():
        raise node.unsupported("a scale below 1 before opset 11")
    mode = str(node.attributes.get("mode", "nearest"))
    return _resize(node, build, scales, None, ("linear" if mode == "bilinear" else mode, "asymmetric", "floor"))


def _examples() -> list[Example]:
    up = _scales(2.0, 1.5)
    floor = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    corners = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    return [
        Example([(1, 1, 3, 4), NONE, up], {"mode": "nearest"}),
        Example([(1, 1, 3, 4), NONE, up], floor),
        Example([(1, 1, 3, 4), NONE, _scales(0.7, 0.5)], {"mode": "nearest", "nearest_mode": "round_prefer_ceil"}),
        Example([(1, 1, 3, 4), NONE, NONE, np.array([1, 1, 5, 2])], {"mode": "nearest", "nearest_mode": "ceil"}),
        Example([(1, 2, 3, 4), NONE, up], {"mode": "linear"}),
        Example([(1, 1, 3, 4), NONE, NONE, np.array([1, 1, 5, 7])], corners),
        Example([(1, 1, 4, 4), NONE, _scales(0.5, 2.0)],
                {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"}),
    ]  # fmt: skip


@register("Resize", since=11, handled="nearest: no computation; linear: linear", examples=_examples)
def resize(node: NodeSpec, build: Builder) -> Value:
    """Nearest and linear, without antialiasing, cropping or a choice of axes."""
    for name, default in (("antialias", 0), ("exclude_outside", 0), ("keep_aspect_ratio_policy", "stretch")):
        if node.attributes.get(name, default) != default:
            raise node.unsupported(f"{name} = {node.attributes[name]}")
    if "axes" in node.attributes:
        raise node.unsupported("a choice of axes")
    modes = tuple(
        str(node.attributes.get(name, default))
        for name, default in (
            ("mode", "nearest"),
            ("coordinate_transformation_mode", "half_pixel"),
            ("nearest_mode", "round_prefer_floor"),
        )
    )
    return _resize(node, build, node.constant(2), node.constant(3), (modes[0], modes[1], modes[2]))
