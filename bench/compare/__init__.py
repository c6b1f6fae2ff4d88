"""TensorGraph beside its peers on this machine: ``python -m bench.compare --help``."""
