"""The built-in encoder. This project made it from formulas and procedural pictures, without any photograph."""
