"""Encoders: manifests, ONNX sessions, preprocessing, batching, admission, calibration.

A new kind of encoder goes here. Tenants and records are unknown here.
"""
