"""Plain implementations that tests compare with: slow, obvious, and without any code of the project."""
