"""Settings for models in tests: few resources, and no measurements at the start."""

from service.encoder.execution import Hardware

ONE_CORE = Hardware(cores=1, threads=1, batch=8)
