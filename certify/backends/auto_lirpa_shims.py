"""Loads auto_LiRPA. PyPI's newest, 0.3, was written for torch 1.12; what torch and numpy have since moved is put back,
and two mistakes of its own that make bounds wrong are corrected.

Each shim is applied only where it is needed, so a newer auto_LiRPA (from source) is left alone. Imports torch.
"""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import torch

from certify.backends.auto_lirpa_network import INSTALL
from certify.errors import BackendError


@cache
def load() -> ModuleType:
    """The library, ready for use with this torch. Raises BackendError where it cannot be imported."""
    _restore_node_attributes()
    # The library installs warning filters of its own on import: they are not to outlive it, nor to show what it meets.
    with warnings.catch_warnings(record=True), _numpy_set_routines(), _opset_setter():
        try:
            library = import_module("auto_LiRPA")
        except (ImportError, AttributeError) as error:
            raise BackendError(f"auto_LiRPA cannot be imported: {error}", f"install it with: {INSTALL}") from error
    _accept_remove_duplicate(library.BoundedModule)
    _keep_intervals(library.BoundedModule)
    _keep_nan()
    _silence()
    return library


@contextmanager
def working() -> Iterator[None]:
    """float64 throughout (the library makes tensors of the default type), no warnings, one thread unless the user chose
    (a second one was measured to cost up to five times the time, on convolutions too); all put back afterwards.
    """
    exporter = _exporter_settings()
    opset = getattr(exporter, "export_onnx_opset_version", None)
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        if opset is not None:
            exporter.export_onnx_opset_version = opset


def _exporter_settings() -> Any:
    """Where this torch keeps the opset it exports to; None before 1.13."""
    for name in ("torch.onnx._internal.torchscript_exporter._globals", "torch.onnx._globals"):
        try:
            return import_module(name).GLOBALS
        except ImportError:
            continue
    return None


@contextmanager
def _numpy_set_routines() -> Iterator[None]:
    """0.3 imports (and never uses) numpy.lib.arraysetops.isin, which numpy 2 has made private."""
    name = "numpy.lib.arraysetops"
    if name in sys.modules or find_spec(name) is not None:
        yield
        return
    module = ModuleType(name)
    module.isin = np.isin  # type: ignore[attr-defined]
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def _opset_setter() -> Iterator[None]:
    """0.3 takes symbolic_helper._set_opset_version, gone since torch 2.0; its graphs must be read as opset 12."""
    symbolic_helper: Any = import_module("torch.onnx.symbolic_helper")
    if hasattr(symbolic_helper, "_set_opset_version"):
        yield
        return

    def set_opset_version(version: int) -> None:
        _exporter_settings().export_onnx_opset_version = version

    symbolic_helper._set_opset_version = set_opset_version
    try:
        yield
    finally:
        del symbolic_helper._set_opset_version


def _restore_node_attributes() -> None:
    """0.3 reads attributes of traced nodes as node[name], which torch 1.13 moved to a function."""
    node: Any = torch._C.Node
    if not hasattr(node, "__getitem__"):
        node.__getitem__ = import_module("torch.onnx.symbolic_helper")._node_get


def _accept_remove_duplicate(module: Any) -> None:
    """torch 2.0 passes remove_duplicate to _named_members, which 0.3 overrides without it (it always removes them)."""
    original = module._named_members
    if "remove_duplicate" in inspect.signature(original).parameters:
        return

    def named_members(self: Any, get: Any, prefix: str = "", recurse: bool = True, **_: Any) -> Any:
        return original(self, get, prefix, recurse)

    module._named_members = named_members


def _keep_intervals(module: Any) -> None:
    """0.3 bounds a ReLU, Neg or Transpose by intervals, and by mistake stores the result at the value it started from.

    Whatever else reads that value is then bounded wrongly: tanh(relu(x)) + relu(W x) comes out below its own values.
    """
    original = module.check_IBP_intermediate
    if "node.interval = self.IBP_general(n)" not in inspect.getsource(original):
        return

    def check_ibp_intermediate(self: Any, node: Any) -> bool:
        chain = []
        while not hasattr(node, "lower") or not hasattr(node, "upper"):
            if type(node) not in self.ibp_intermediate:
                return False
            chain.append(node)
            node = node.inputs[0]
        for part in reversed(chain):
            self.IBP_general(part)
        return True

    module.check_IBP_intermediate = check_ibp_intermediate


def _keep_nan() -> None:
    """The library turns a bias that is NaN (0 times an infinite bound) into 0, which is no bound; let it stay NaN."""
    base: Any = import_module("auto_LiRPA.operators.base")
    if hasattr(base, "isnan"):
        base.isnan = lambda _: False


def _silence() -> None:
    """The library prints as it works, and standard output belongs to the answer."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "auto_LiRPA":
            module.print = lambda *_, **__: None  # type: ignore[attr-defined]
    import_module("logging").getLogger("auto_LiRPA").setLevel("ERROR")
