"""Detectors: models that find objects in pictures, as boxes with labels and scores.

`manifest` says what a detector is, `outputs` turns what families of models give into candidates, `suppression` chooses
among them, `session` runs a model, `registry` knows which detectors a server has. `builtin` has the one that comes with
this project. What becomes of the objects of a picture is decided in `service.engine.detection`. (`service.objects` is
another thing: stored objects.)
"""
