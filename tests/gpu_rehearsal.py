"""A section of the GPU benchmark, rehearsed on the emulated device in its smallest sizes."""

import time
from importlib.util import find_spec

from emulated_backend import EmulatedBackend

import tensorgraph as tg


class Setting:
    """What ``bench.cuda.setting.Setting`` offers, for the tests of sections."""

    emulated = small = True

    def __init__(self, seconds=300.0):
        self.deadline = time.monotonic() + seconds

    def left(self):
        return self.deadline - time.monotonic()

    def backend(self):
        return EmulatedBackend()

    def torch(self):
        if find_spec("torch") is None:
            return None
        import torch

        return torch, "cpu"


def rows_of(section, seconds=300.0):
    found = []
    with tg.use(backend="numpy"):
        section.run(Setting(seconds), found.append)
    return found
