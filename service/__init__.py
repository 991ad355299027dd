"""The Afterimage service: encodes pictures, forgets them, and stores and searches the vectors through `index`.

The modules here put the parts together: settings, composition, start and stop, errors, metrics.
"""
