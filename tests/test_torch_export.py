"""PyTorch to ONNX: the file computes what the module does, or it is said that it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx_files import run

import certify
from certify.cli.main import app
from certify.errors import InputError, ParityError
from certify.torch_export import load_builder

torch = pytest.importorskip("torch")
typer_testing = pytest.importorskip("typer.testing")

CODE = """
import torch

def build():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(8, 3))

def with_example():
    return build(), torch.zeros(2, 4)

class Branching(torch.nn.Module):
    input_shape = (1, 4)

    def forward(self, x):
        return 2 * x if x.sum() > 0 else x

branching = Branching()

def number():
    return 3

def broken():
    raise KeyError("weights")
"""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "model.py"
    path.write_text(CODE)
    return path


def invoke(*arguments: object):
    return typer_testing.CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_a_module_and_its_file_agree(code: Path, tmp_path: Path) -> None:
    module, example = load_builder(f"{code}:build")
    assert example is None
    module.train()
    done = certify.export(module, (1, 4), tmp_path / "net.onnx")
    assert module.training
    assert done.difference < 1e-5
    assert done.points == 17
    points = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(points)).numpy()
    np.testing.assert_allclose(run(done.path, points), expected, atol=1e-5)
    network = certify.load_model(done.path).network
    assert [t.name for t in network.inputs + network.outputs] == ["input", "output"]


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, a, b):
            return a + b, a * 2.0

    for example in ([(1, 3), (1, 3)], (torch.ones(1, 3), np.ones((1, 3), dtype=np.float32))):
        done = certify.export(Two(), example, tmp_path / "two.onnx")
        network = certify.load_model(done.path).network
        assert [t.name for t in network.inputs + network.outputs] == ["input0", "input1", "output0", "output1"]


def test_a_difference_is_an_error_and_deletes_nothing(code: Path, tmp_path: Path) -> None:
    module, example = load_builder(f"{code}:branching")
    assert example == (1, 4)
    with pytest.raises(ParityError, match="differs from the module by .* on random point"):
        certify.export(module, example, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").exists()


def test_rounding_inside_the_module_is_no_difference(tmp_path: Path) -> None:
    """Outputs near zero from values that cancel: what rounding explains depends on those."""
    torch.manual_seed(0)
    wide = torch.nn.Linear(64, 256)
    last = torch.nn.Linear(256, 1, bias=False)
    with torch.no_grad():
        wide.weight *= 1e4
        last.weight[:, 128:] = -last.weight[:, :128]
        wide.weight[128:] = wide.weight[:128]
        wide.bias[128:] = wide.bias[:128]
    module = torch.nn.Sequential(wide, torch.nn.ReLU(), last)
    certify.export(module, (1, 64), tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("module", "example", "match"),
    [
        (3, (1, 4), "not a torch.nn.Module"),
        (torch.nn.Linear(4, 2), None, "no example input"),
        (torch.nn.Linear(4, 2), [(1, 0)], "not the shape"),
        (torch.nn.Linear(4, 2), (1, 5), "cannot export"),
        (torch.nn.Linear(4, 2), torch.zeros(1, 4, dtype=torch.int64), "floating point"),
    ],
)
def test_what_is_refused(module: object, example: object, match: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        certify.export(module, example, tmp_path / "net.onnx")


def test_the_command(code: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.onnx"
    result = invoke(f"{code}:build", "-o", out, "--shape", "1,4")
    assert result.exit_code == 0, result.output
    assert "differs from torch by at most" in result.output
    assert certify.load_model(out).network.n_inputs == 4
    assert invoke(f"{code}:with_example", "-o", out).exit_code == 0
    assert certify.load_model(out).network.n_inputs == 8
    result = invoke(f"{code}:branching", "-o", tmp_path / "b.onnx")
    assert result.exit_code == 2
    assert (tmp_path / "b.onnx").exists()


@pytest.mark.parametrize("arguments", [("build",), ("number",), ("broken",), ("nothing",), ("build", "--shape", "a")])
def test_the_commands_errors(code: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    name, *options = arguments
    result = invoke(f"{code}:{name}", "-o", tmp_path / "net.onnx", *options)
    assert result.exit_code == 2
    assert not (tmp_path / "net.onnx").exists()
    assert invoke(f"{tmp_path / 'missing.py'}:build", "-o", tmp_path / "net.onnx").exit_code == 2
