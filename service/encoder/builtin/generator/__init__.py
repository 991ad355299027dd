"""Procedural product pictures: objects, grounds and views drawn by formula from a seed. No photograph is involved."""
