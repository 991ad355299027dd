"""Encoders: ONNX models with a manifest each, and what feeds them."""
