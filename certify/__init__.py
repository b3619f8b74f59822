"""certify: formal verification and certified bounds for neural networks (ONNX + VNN-LIB in, verdict with evidence out).

import certify
verdict = certify.check("model.onnx", "spec.vnnlib", timeout=60)
verdict.status, verdict.bound, verdict.witness

certify.compare("before.onnx", "after.onnx", "specs/", timeout=60)

from certify import spec  # properties from numpy-like expressions
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "bound", "capability", "check", "compare", "difference", "export", "harden", "latent", "load_model", "load_query",
    "monitor", "probability", "radius", "trigger",
]  # fmt: skip

_PLACES = {
    "bound": "certify.api",
    "check": "certify.api",
    "difference": "certify.compare.difference",
    "export": "certify.torch_export",
    "harden": "certify.interventions.harden",
    "load_model": "certify.network.read_onnx",
    "load_query": "certify.api",
    "probability": "certify.quantities.probability",
    "trigger": "certify.quantities.trigger",
    "capability": "certify.quantities.capability",
    "latent": "certify.quantities.latent",
    "monitor": "certify.quantities.monitor",
    "radius": "certify.quantities.radius",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first asked for (PEP 562)."""
    from importlib import import_module

    if name in ("compare", "spec"):  # the room of this name can be called
        return import_module(f"certify.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'certify' has no attribute '{name}'")
    return getattr(import_module(_PLACES[name]), name)
