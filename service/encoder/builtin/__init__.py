"""The encoder that ships with the service: made by this project, from formulas alone. It has seen no photograph."""
