"""Tricks that trade plainness for speed, fenced in here: each module names the benchmark that pays for it.

What belongs here knows nothing of records or vectors. Anything that can be written plainly does not belong here.
"""
