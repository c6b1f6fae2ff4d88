"""The emulated device behind the name "cupy", for tests of the whole product on it.

``with in_place():`` in this process; in others ``python tests/emulated.py train …`` is the command,
and ``pytest -p emulated`` runs any test with it.
"""

import contextlib
import sys

import tensorgraph_cupy.backend
from emulated_backend import EmulatedBackend

import tensorgraph as tg
from tensorgraph import execute


@contextlib.contextmanager
def in_place(backend=None):
    """The backend "cupy" is the emulated one within the block."""
    backend = backend or EmulatedBackend()
    kept, calls = dict(tg.plugins._backends), dict(execute._calls)
    tg.plugins._backends["cupy"] = backend
    execute._calls.clear()
    try:
        yield backend
    finally:
        for held, before in ((tg.plugins._backends, kept), (execute._calls, calls)):
            held.clear()
            held.update(before)


def everywhere():
    """In this process, for good."""
    tensorgraph_cupy.backend.CupyBackend = EmulatedBackend


def pytest_configure(config):
    everywhere()


if __name__ == "__main__":
    import training_help

    everywhere()
    sys.exit(training_help.command(*sys.argv[1:]))
