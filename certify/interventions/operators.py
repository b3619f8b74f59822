"""ONNX operators in torch: a table from the operator's name to a function of its attributes and its inputs.

Each takes what the ONNX operator takes, for one sample with the batch axis the file has; `trainable` maps it over the
samples of a batch. They are used for training only: what is proved is proved of the file that comes out of it, which
is read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from certify.ops.select import sliced

Attributes = Mapping[str, Any]
Operator = Callable[..., Any]

OPERATORS: dict[str, Operator] = {
    "Add": lambda a, x, y: x + y,
    "Sub": lambda a, x, y: x - y,
    "Mul": lambda a, x, y: x * y,
    "Div": lambda a, x, y: torch.div(x, y, rounding_mode=None if x.is_floating_point() else "trunc"),
    "Neg": lambda a, x: -x,
    "Pow": lambda a, x, y: x ** y.to(x.dtype),
    "Sqrt": lambda a, x: torch.sqrt(x),
    "Exp": lambda a, x: torch.exp(x),
    "Log": lambda a, x: torch.log(x),
    "Abs": lambda a, x: torch.abs(x),
    "Erf": lambda a, x: torch.erf(x),
    "Relu": lambda a, x: torch.relu(x),
    "LeakyRelu": lambda a, x: functional.leaky_relu(x, a.get("alpha", 0.01)),
    "PRelu": lambda a, x, slope: torch.where(x >= 0, x, slope * x),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "HardSigmoid": lambda a, x: (a.get("alpha", 0.2) * x + a.get("beta", 0.5)).clamp(0.0, 1.0),
    "Tanh": lambda a, x: torch.tanh(x),
    "Elu": lambda a, x: functional.elu(x, a.get("alpha", 1.0)),
    "Softplus": lambda a, x: functional.softplus(x),
    "Gelu": lambda a, x: functional.gelu(x, approximate=a.get("approximate", "none")),
    "Min": lambda a, *xs: _fold(torch.minimum, xs),
    "Max": lambda a, *xs: _fold(torch.maximum, xs),
    "Identity": lambda a, x: x,
    "Dropout": lambda a, x, *rest: x,  # as in inference
    "Cast": lambda a, x: x.to(_torch_type(a["to"])),
    "Shape": lambda a, x: torch.tensor(x.shape[a.get("start", 0) : a.get("end")]),
    "Gather": lambda a, x, index: _gather(x, index, a.get("axis", 0)),
    "Concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "Transpose": lambda a, x: x.permute(*(a.get("perm") or reversed(range(x.ndim)))),
    "GlobalAveragePool": lambda a, x: x.mean(tuple(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda a, x: x.amax(tuple(range(2, x.ndim)), keepdim=True),
    "MatMul": lambda a, x, y: x @ y,
}


def operator(name: str) -> Callable[[Operator], Operator]:
    """Enter a function into the table."""

    def enter(function: Operator) -> Operator:
        OPERATORS[name] = function
        return function

    return enter


def _fold(of_two: Callable[[Tensor, Tensor], Tensor], xs: tuple[Tensor, ...]) -> Tensor:
    result = xs[0]
    for x in xs[1:]:
        result = of_two(result, x)
    return result


def _torch_type(onnx_type: int) -> torch.dtype:
    from onnx import helper

    return torch.from_numpy(helper.tensor_dtype_to_np_dtype(onnx_type).type(0).reshape(1)).dtype


def _gather(x: Tensor, index: Tensor, axis: int) -> Tensor:
    length = x.shape[axis]
    flat = torch.where(index < 0, index + length, index).reshape(-1)
    axis = axis % x.ndim
    return x.index_select(axis, flat).reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _ints(tensor: Tensor | None, otherwise: Any) -> list[int]:
    """An input that holds whole numbers; older operator sets have it as an attribute instead."""
    return [int(n) for n in (otherwise if tensor is None else tensor.tolist())]


@operator("Gemm")
def _gemm(a: Attributes, x: Tensor, w: Tensor, c: Tensor | None = None) -> Tensor:
    x = x.mT if a.get("transA") else x
    y = x @ (w.mT if a.get("transB") else w)
    y = y if a.get("alpha", 1.0) == 1.0 else a["alpha"] * y
    if c is None:
        return y
    return y + (c if a.get("beta", 1.0) == 1.0 else a["beta"] * c)


def _padded(a: Attributes, x: Tensor, n_space: int, value: float = 0.0) -> tuple[Tensor, int | list[int]]:
    """(the tensor, padding that torch can do itself): where the pads of both ends differ they are done here."""
    if a.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise NotImplementedError(f"auto_pad {a['auto_pad']}; export with explicit pads")
    pads = list(a.get("pads") or [0] * (2 * n_space))
    before, after = pads[:n_space], pads[n_space:]
    if before == after and value == 0.0:
        return x, before
    both = [n for pair in reversed(list(zip(before, after, strict=True))) for n in pair]
    return functional.pad(x, both, value=value), 0


@operator("Conv")
def _conv(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    n = w.ndim - 2
    x, padding = _padded(a, x, n)
    function: Any = (functional.conv1d, functional.conv2d, functional.conv3d)[n - 1]
    result: Tensor = function(x, w, b, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))
    return result


@operator("ConvTranspose")
def _conv_transpose(a: Attributes, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    n = w.ndim - 2
    pads = list(a.get("pads") or [0] * (2 * n))
    if pads[:n] != pads[n:] or "output_shape" in a or a.get("auto_pad", "NOTSET") != "NOTSET":
        raise NotImplementedError("pads that differ at both ends, or are found from the output's shape")
    function: Any = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[n - 1]
    extra = a.get("output_padding", 0)
    groups, dilations = a.get("group", 1), a.get("dilations", 1)
    result: Tensor = function(x, w, b, a.get("strides", 1), pads[:n], extra, groups, dilations)
    return result


@operator("BatchNormalization")
def _batch_norm(a: Attributes, x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor) -> Tensor:
    """With the statistics in the file, as in inference."""
    along = [1, -1] + [1] * (x.ndim - 2)
    factor = scale / torch.sqrt(var + a.get("epsilon", 1e-5))
    return (x - mean.reshape(along)) * factor.reshape(along) + b.reshape(along)


@operator("LayerNormalization")
def _layer_norm(a: Attributes, x: Tensor, scale: Tensor, b: Tensor | None = None) -> Tensor:
    axis = a.get("axis", -1) % x.ndim
    return functional.layer_norm(x, list(x.shape[axis:]), scale, b, a.get("epsilon", 1e-5))


def _over_classes(function: Callable[[Tensor, int], Tensor]) -> Operator:
    def call(a: Attributes, x: Tensor) -> Tensor:
        if "flattened_from" not in a:
            return function(x, a.get("axis", -1))
        return function(x.flatten(a["flattened_from"]), -1).reshape(x.shape)

    return call


OPERATORS["Softmax"] = _over_classes(torch.softmax)
OPERATORS["LogSoftmax"] = _over_classes(torch.log_softmax)


@operator("Flatten")
def _flatten(a: Attributes, x: Tensor) -> Tensor:
    axis = a.get("axis", 1)
    first = 1
    for n in x.shape[:axis]:
        first *= n
    return x.reshape(first, -1)


@operator("Reshape")
def _reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    wanted = _ints(shape, ())
    if not a.get("allowzero"):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    return x.reshape(wanted)


@operator("Squeeze")
def _squeeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    every = [i for i, n in enumerate(x.shape) if n == 1]
    return x.squeeze(tuple(_ints(axes, a.get("axes", every))))


@operator("Unsqueeze")
def _unsqueeze(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    wanted = _ints(axes, a.get("axes", ()))
    rank = x.ndim + len(wanted)
    for axis in sorted(n % rank for n in wanted):
        x = x.unsqueeze(axis)
    return x


@operator("Slice")
def _slice(
    a: Attributes, x: Tensor, starts: Tensor | None = None, ends: Tensor | None = None,
    axes: Tensor | None = None, steps: Tensor | None = None,
) -> Tensor:  # fmt: skip
    first, last = _ints(starts, a.get("starts", ())), _ints(ends, a.get("ends", ()))
    along, by = _ints(axes, a.get("axes", range(len(first)))), _ints(steps, [1] * len(first))
    for start, end, axis, step in zip(first, last, along, by, strict=True):
        x = x.index_select(axis, torch.from_numpy(sliced(x.shape[axis], start, end, step)))
    return x


@operator("Split")
def _split(a: Attributes, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = a.get("axis", 0)
    parts = _ints(sizes, a.get("split", ()))
    if not parts:
        raise NotImplementedError("parts of sizes that are not written down")
    return tuple(x.split(parts, axis))


@operator("Clip")
def _clip(a: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    lower: Any = a.get("min") if low is None else low
    upper: Any = a.get("max") if high is None else high
    return x if lower is None and upper is None else torch.clamp(x, lower, upper)


@operator("Pad")
def _pad(a: Attributes, x: Tensor, pads: Tensor | None = None, value: Tensor | None = None, *rest: Tensor) -> Tensor:
    if rest:
        raise NotImplementedError("pads of some axes")
    numbers = _ints(pads, a.get("pads", ()))
    both = [n for pair in reversed(list(zip(numbers[: x.ndim], numbers[x.ndim :], strict=True))) for n in pair]
    mode = {"constant": "constant", "edge": "replicate", "reflect": "reflect"}[a.get("mode", "constant")]
    if mode != "constant":
        return functional.pad(x, both, mode=mode)
    return functional.pad(x, both, value=float(a.get("value", 0.0) if value is None else value))


@operator("MaxPool")
def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    n = len(a["kernel_shape"])
    x, padding = _padded(a, x, n, float("-inf"))
    function: Any = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[n - 1]
    strides, dilations = a.get("strides", [1] * n), a.get("dilations", 1)
    result: Tensor = function(x, a["kernel_shape"], strides, padding, dilations, bool(a.get("ceil_mode")))
    return result


@operator("AveragePool")
def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    n = len(a["kernel_shape"])
    counted = bool(a.get("count_include_pad"))
    padded, padding = _padded(a, x, n)
    if a.get("dilations", [1] * n) != [1] * n or (padding == 0 and padded is not x and not counted):
        raise NotImplementedError("dilations, or pads that differ at both ends and are not counted")
    function: Any = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[n - 1]
    strides = a.get("strides", [1] * n)
    result: Tensor = function(padded, a["kernel_shape"], strides, padding, bool(a.get("ceil_mode")), counted)
    return result


def _reduction(reduce: Callable[[Tensor, tuple[int, ...], bool], Tensor]) -> Operator:
    def call(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
        wanted = tuple(_ints(axes, a.get("axes", ()))) or tuple(range(x.ndim))
        return reduce(x, wanted, bool(a.get("keepdims", 1)))

    return call


OPERATORS["ReduceMean"] = _reduction(lambda x, axes, keep: x.mean(axes, keep))
OPERATORS["ReduceSum"] = _reduction(lambda x, axes, keep: x.sum(axes, keep))
OPERATORS["ReduceMax"] = _reduction(lambda x, axes, keep: x.amax(axes, keep))
OPERATORS["ReduceMin"] = _reduction(lambda x, axes, keep: x.amin(axes, keep))
