"""Paths of the bundled models and specs."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MODEL = str(ROOT / "models" / "digits_mlp.onnx")
HOLDS = str(ROOT / "specs" / "digits_mlp_0_eps0.1.vnnlib")
FAILS = str(ROOT / "specs" / "digits_mlp_1_eps0.08.vnnlib")
CNN = str(ROOT / "models" / "digits_cnn.onnx")
HARD = str(ROOT / "specs" / "digits_cnn_6_eps0.125.vnnlib")
