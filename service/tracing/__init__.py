"""Traces: a span for each call and each run, and one child of it for each stage.

`allowed` lists what a span may contain, `spans` measures, `export` sends. This room alone knows OpenTelemetry. Other
rooms name a stage with `stage`, and nothing else: a span has no place for what a caller sent. A new stage or attribute
goes to `allowed`.
"""
