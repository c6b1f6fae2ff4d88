"""NVIDIA's libraries by their addresses: cuBLASLt and cuDNN, both usable within a CUDA graph."""

from tensorgraph.errors import BackendError

EXTRA = "pip install 'tensorgraph[cuda]' brings it"


class MissingError(BackendError):
    """A library is not there: what is missing, what brings it, what works without it."""


class UnsupportedError(BackendError):
    """A library has nothing for a problem: another way has to be taken."""


def first_line(error: BaseException) -> str:
    """What an error says, or its name where that is nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
