"""NVIDIA's libraries by their addresses: cuBLASLt and cuDNN, both usable within a CUDA graph."""

from tensorgraph.errors import BackendError


class MissingError(BackendError):
    """A library is not there: what is missing, what brings it, what works without it."""


class UnsupportedError(BackendError):
    """A library has nothing for a problem: another way has to be taken."""
