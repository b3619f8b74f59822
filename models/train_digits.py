#!/usr/bin/env python
"""Train the bundled models on scikit-learn's digits (1,797 images of 8 x 8) and write their specifications.

    python models/train_digits.py

Writes models/*.onnx, specs/*.vnnlib, and a manifest.json in both folders (sha256 of every file and how it was made).
Everything is seeded; on another CPU or version of torch the weights may differ in their last bits.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from certify.query.robustness import robust_spec

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
EPOCHS = 60
# Radius of the perturbations seen in training, in units of the pixel range [0, 1].
TRAINING_EPS = {"digits_mlp": 0.03, "digits_cnn": 0.05}
# (model, number of the test image, radius, what to expect): some hold, some fail, one is hard.
SPECS = [
    ("digits_mlp", 0, 0.1, "unsat"),
    ("digits_mlp", 4, 0.12, "unsat"),
    ("digits_mlp", 1, 0.08, "sat"),
    ("digits_cnn", 0, 0.1, "unsat"),
    ("digits_cnn", 4, 0.12, "unsat"),
    ("digits_cnn", 5, 0.15, "sat"),
    ("digits_cnn", 3, 0.1, "unsat"),
    ("digits_cnn", 6, 0.12, "unsat"),
    ("digits_cnn", 6, 0.125, "hard"),
]


def build(name: str) -> nn.Sequential:
    """The architectures: a perceptron with two hidden layers of 50, a small convolutional net."""
    if name == "digits_mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 10)
        )
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, 10),
    )  # fmt: skip


def train(name: str, x: torch.Tensor, y: torch.Tensor) -> nn.Sequential:
    """Adversarial training with one signed gradient step per batch (Wong et al. 2020)."""
    torch.manual_seed(SEED)
    model, eps = build(name), TRAINING_EPS[name]
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(64):
            start = (x[batch] + eps * (2 * torch.rand_like(x[batch]) - 1)).requires_grad_()
            (grad,) = torch.autograd.grad(nn.functional.cross_entropy(model(start), y[batch]), start)
            step = start + 1.25 * eps * grad.sign()
            moved = (x[batch] + (step - x[batch]).clamp(-eps, eps)).clamp(0, 1).detach()
            loss = nn.functional.cross_entropy(model(moved), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


def to_onnx(model: nn.Sequential, name: str) -> onnx.ModelProto:
    """The model as ONNX with a symbolic batch axis, node by node."""
    nodes, weights, last = [], [], "image"
    for number, layer in enumerate(model):
        out = "scores" if number == len(model) - 1 else f"{number}_{type(layer).__name__.lower()}"
        inputs = [last]
        for kind, tensor in layer.named_parameters():
            inputs.append(f"{number}_{kind}")
            weights.append(numpy_helper.from_array(tensor.detach().numpy(), f"{number}_{kind}"))
        nodes.append(_node(layer, inputs, out))
        last = out
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 10])],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="certify")
    made.ir_version = 8
    onnx.checker.check_model(made)
    return made


def _node(layer: nn.Module, inputs: list[str], out: str) -> onnx.NodeProto:
    if isinstance(layer, nn.Linear):
        return helper.make_node("Gemm", inputs, [out], transB=1)
    if isinstance(layer, nn.Conv2d):
        return helper.make_node("Conv", inputs, [out], strides=list(layer.stride), pads=list(layer.padding) * 2)
    return helper.make_node("Relu" if isinstance(layer, nn.ReLU) else "Flatten", inputs, [out])


def write(path: Path, data: bytes, entry: dict[str, object]) -> dict[str, object]:
    """Write the file; its manifest entry with the hash put in."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), **entry}


def main() -> None:
    """Train, export, write specifications and manifests."""
    torch.set_num_threads(1)
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[:, None]
    x, x_test, y, y_test = train_test_split(images, digits.target, test_size=0.25, random_state=SEED)
    models, specs = [], []
    for name in TRAINING_EPS:
        model = train(name, torch.from_numpy(x), torch.from_numpy(y))
        right = (model(torch.from_numpy(x_test)).argmax(1).numpy() == y_test).mean()
        data = to_onnx(model, name).SerializeToString()
        made = f"models/train_digits.py, seed {SEED}, torch {torch.__version__}"
        models.append(
            write(ROOT / "models" / f"{name}.onnx", data, {"made": made, "test_accuracy": round(float(right), 4)})
        )
    for name, index, eps, expected in SPECS:
        comment = f"digits test image {index} (a {y_test[index]}), maximum norm radius {eps}, for {name}.onnx"
        text = robust_spec(x_test[index], eps, int(y_test[index]), 10, clip=(0.0, 1.0), comment=comment)
        entry = {"model": f"{name}.onnx", "eps": eps, "label": int(y_test[index]), "expected": expected}
        specs.append(write(ROOT / "specs" / f"{name}_{index}_eps{eps}.vnnlib", text.encode(), entry))
    for folder, entries in (("models", models), ("specs", specs)):
        (ROOT / folder / "manifest.json").write_text(json.dumps(entries, indent=2) + "\n")
        print(json.dumps(entries, indent=2))


if __name__ == "__main__":
    main()
