"""Approximate nearest neighbours: FAISS graphs and clusters, their build process, binary signatures, centring.

A new index type or a new way to compress vectors goes here. Which of them a search uses is decided in `query`.
"""
