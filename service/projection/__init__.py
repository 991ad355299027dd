"""Records as points of a plane: a layout that keeps neighbours together, from vectors in numpy alone.

`layout` is the whole: `neighbours` finds who is near whom, `forces` moves the points. What is drawn from a collection,
and who may ask for it, is decided in `service.handlers`.
"""
