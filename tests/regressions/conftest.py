"""`decide(model, spec)`: the verdict's word for an ONNX model and a VNN-LIB text, with and without attack."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx_files import save

import certify
from certify.settings import Settings


@pytest.fixture
def decide(tmp_path: Path) -> Callable[[onnx.ModelProto, str], str]:
    def run(proto: onnx.ModelProto, spec: str) -> str:
        path = tmp_path / "spec.vnnlib"
        path.write_text(spec)
        model = save(tmp_path / "model.onnx", proto)
        words = {
            certify.check(model, path, timeout=60, settings=Settings(attack=a)).status.value for a in (True, False)
        }
        assert len(words) == 1, words
        return words.pop()

    return run
