"""Encoders: manifests, ONNX sessions, preprocessing, batching, admission, calibration.

`contract` says what an encoder is. A new kind of encoder is one class that keeps to it and one entry in `kinds`.
Tenants and records are unknown here.
"""
