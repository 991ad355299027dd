"""The records of a collection that another process writes: connections that cannot write, and how commits are noticed.

What follows them in memory is in `index.vectors.local.follower`.
"""
