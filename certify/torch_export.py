"""PyTorch module -> ONNX file, and the comparison of the two that makes the file worth proving something about.

The only place that writes models from torch. The exporter traces the module, so what depends on the values of the
example (Python's own `if`, `for` over data) is frozen into the file: the comparison with other points shows it.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from certify.errors import BackendError, InputError, ParityError
from certify.network.parity import OF_LARGEST_VALUE, RELATIVE
from certify.witness.runtime import Runtime

OPSET = 17


@dataclass(frozen=True)
class Exported:
    """The file written, the largest difference between torch and onnxruntime, and what the exporter warned about."""

    path: Path
    difference: float
    points: int
    notes: tuple[str, ...] = ()


def export(
    module: Any, example: Any, path: str | Path, *, opset: int = OPSET, points: int = 16, seed: int = 0
) -> Exported:
    """Write a torch module as ONNX, in evaluation mode, and compare it with onnxruntime on random points.

    example: an input, or a tuple of them, as tensors, arrays or shapes such as (1, 3, 32, 32); a list of shapes stands
    for several inputs. The file has these shapes. points: how many normally distributed points are compared, around 0
    and as wide as the example (1 where that is constant), the example itself besides.
    Raises InputError where the module cannot be exported, ParityError where the file computes something else; the file
    is left as written.
    """
    torch = _torch()
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{type(module).__name__} is not a torch.nn.Module", "give the module itself")
    path, inputs = Path(path), _inputs(torch, example)
    training = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            notes = _write(torch, module, inputs, path, opset)
            difference = _compare(torch, module, inputs, path, points, seed)
    finally:
        for part, flag in training.items():
            part.training = flag
    return Exported(path, difference, points + 1, notes)


def load_builder(place: str) -> tuple[Any, Any]:
    """What `file.py:name` stands for: a module, and the example input it comes with (None without).

    name: a module; or a function without arguments that returns one, or a module and an example. A module may have its
    own `input_shape`. This runs the file. Raises InputError where there is no such thing.
    """
    file, colon, name = place.rpartition(":")
    if not (colon and name and Path(file).is_file()):
        raise InputError(f"{place}: expected FILE.py:NAME with an existing file", "as in model.py:build")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    if spec is None or spec.loader is None:
        raise InputError(f"{file} is not a Python file", "as in model.py:build")
    torch = _torch()
    code = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(file).resolve().parent))  # what python does for a script: files beside it are found
    try:
        spec.loader.exec_module(code)
        built = getattr(code, name)
        if not isinstance(built, torch.nn.Module):
            built = built()
    except (Exception, SystemExit) as error:
        raise InputError(f"{place}: {type(error).__name__}: {error}", "run the file with python first") from error
    finally:
        sys.path.pop(0)
    module, example = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if not isinstance(module, torch.nn.Module):
        raise InputError(f"{place} gives a {type(module).__name__}, not a torch.nn.Module", "return the module")
    return module, getattr(module, "input_shape", None) if example is None else example


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise BackendError("torch is not installed", "pip install torch") from None
    return torch


def _inputs(torch: Any, example: Any) -> tuple[Any, ...]:
    """The example as a tuple of tensors."""
    if isinstance(example, Sequence) and example and all(isinstance(n, int) for n in example):
        example = [example]
    parts = tuple(example) if isinstance(example, list | tuple) else (example,)
    if not parts or example is None:
        raise InputError("no example input is given", "give its shape, such as (1, 3, 32, 32)")
    found = []
    for part in parts:
        if isinstance(part, list | tuple | torch.Size):
            if not part or not all(isinstance(n, int) and n > 0 for n in part):
                raise InputError(f"{part!r} is not the shape of an input", "such as (1, 3, 32, 32)")
            part = torch.zeros(tuple(part))
        part = torch.as_tensor(part).detach()
        if not part.dtype.is_floating_point:
            raise InputError(f"the example input has the type {part.dtype}", "use floating point")
        found.append(part)
    return tuple(found)


def _write(torch: Any, module: Any, inputs: tuple[Any, ...], path: Path, opset: int) -> tuple[str, ...]:
    """Export; what tracing warned about."""
    names = ["input"] if len(inputs) == 1 else [f"input{i}" for i in range(len(inputs))]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outputs = _tensors(module(*inputs))
            called = ["output"] if len(outputs) == 1 else [f"output{i}" for i in range(len(outputs))]
            # The exporter by tracing: the other one needs packages beyond torch.
            torch.onnx.export(
                module, inputs, str(path), input_names=names, output_names=called, opset_version=opset, dynamo=False
            )
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error
        except Exception as error:  # noqa: BLE001 - the user's forward and torch raise anything
            said = str(error).strip().split("\n")[0]
            message = f"torch cannot export the module: {type(error).__name__}: {said}"
            raise InputError(message, "does module(example) run? is every operation one that ONNX has?") from error
    kept = [str(w.message).split("\n")[0] for w in caught if issubclass(w.category, torch.jit.TracerWarning)]
    return tuple(dict.fromkeys(kept))


def _compare(torch: Any, module: Any, inputs: tuple[Any, ...], path: Path, points: int, seed: int) -> float:
    """The largest difference between the module and its file. Raises ParityError beyond what rounding explains."""
    runtime = Runtime(path)
    if runtime.n_inputs != sum(part.numel() for part in inputs):
        message = f"{path} has {runtime.n_inputs} inputs, the example {sum(part.numel() for part in inputs)}"
        raise ParityError(message, "the module ignores part of its input; export it without that part")
    rng = np.random.default_rng(seed)
    worst = 0.0
    for number in range(points + 1):
        point = inputs if number == 0 else tuple(_random(torch, part, rng) for part in inputs)
        expected, largest = _run(torch, module, point)
        found = runtime(np.concatenate([part.double().cpu().numpy().ravel() for part in point]))
        if expected.shape != found.shape:
            raise ParityError(f"torch gives {expected.size} outputs, {path} {found.size}", _HINT)
        allowed = RELATIVE * float(np.maximum(abs(expected), abs(found)).max(initial=0.0)) + OF_LARGEST_VALUE * largest
        with np.errstate(invalid="ignore"):  # infinity less infinity is NaN, which is no agreement
            difference = float(abs(expected - found).max(initial=0.0))
        if not difference <= allowed:
            where = "the example" if number == 0 else f"random point {number}"
            message = f"{path} is written, but differs from the module by {difference:.3g} on {where}"
            raise ParityError(f"{message} ({allowed:.2g} is what rounding explains)", _HINT)
        worst = max(worst, difference)
    return worst


def _run(torch: Any, module: Any, point: tuple[Any, ...]) -> tuple[np.ndarray, float]:
    """The module's outputs laid end to end, and the largest absolute value that it or a part of it gives."""
    largest = [0.0]

    def record(part: Any, given: Any, result: Any) -> None:
        values = result if isinstance(result, list | tuple) else [result]
        floats = [v for v in values if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel()]
        largest.extend(float(v.abs().max()) for v in floats)

    handles = [part.register_forward_hook(record) for part in module.modules()]
    try:
        outputs = _tensors(module(*point))
    finally:
        for handle in handles:
            handle.remove()
    return np.concatenate([part.double().cpu().numpy().ravel() for part in outputs]), max(largest)


_HINT = "decisions on values of the example, and anything random, are frozen by tracing: remove them from forward"


def _random(torch: Any, part: Any, rng: np.random.Generator) -> Any:
    """A point around 0, about as large as the example."""
    scale = float(part.abs().max()) or 1.0
    noise = torch.from_numpy(rng.normal(size=tuple(part.shape)) * scale)
    return noise.to(part.dtype).to(part.device)


def _tensors(outputs: Any) -> list[Any]:
    """The module's outputs, in order."""
    if isinstance(outputs, dict):
        outputs = tuple(outputs.values())
    parts = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    if not parts or not all(hasattr(part, "detach") for part in parts):
        raise InputError("the module's outputs are not tensors", "return a tensor, or a tuple of tensors")
    return parts
