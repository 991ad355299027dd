"""How tests run models: as little of the machine as possible, and nothing measured."""

from service.encoder.execution import Hardware

ONE_CORE = Hardware(cores=1, threads=1, batch=8)
