"""The built-in encoder. This project made it from drawn pictures, without any photograph."""
