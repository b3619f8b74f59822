"""From an ONNX file to a frozen graph of ops, its rewrites and its evaluation."""
