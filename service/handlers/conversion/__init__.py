"""Conversion between protobuf messages and the values of the service."""
