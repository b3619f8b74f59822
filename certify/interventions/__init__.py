"""Interventions: a trained ONNX model goes in, one trained further, or made smaller, comes out."""
