"""Backends and results for the tests of benchmarks."""

import numpy as np


class Device:
    """Computes with NumPy and keeps the time of a device: 3 µs for each launch, on a clock of its
    own. For control flow only."""

    name = "device"
    xp = np
    kernels = ()
    launches = readings = waits = 0

    def asarray(self, data, dtype):
        return np.array(data, dtype)

    def to_host(self, array):
        return array

    def synchronize(self):
        self.waits += 1

    def launch(self):
        self.launches += 1

    def clock(self):
        def now():
            self.readings += 1
            return 3e-6 * self.launches

        now.device = "a device that is none"
        return now


def row(name, flops, intensity, seconds=1e-3, kernel="im2col", **more):
    """A case of a result, as results.measured gives it."""
    moved = flops / intensity if intensity else 4096
    return {
        "name": f"{name} on numpy by {kernel}", "op": name, "sample": name, "backend": "numpy",
        "kernel": kernel, "chosen": True, "dtype": "float32", "seconds": [seconds] * 8,
        "flops": flops, "bytes": moved, "gflops": flops / seconds / 1e9,
        "gbps": moved / seconds / 1e9, "intensity": intensity, "share": 0.5, **more,
    }  # fmt: skip


def result(*rows):
    """As results.run gives it: limits of 100 GFLOP/s and 10 GB/s."""
    speeds = {"262144": 4e10, "134217728": 1e10}
    return {
        "format": 1,
        "machine": {"processor": "A processor", "cores": 2, "threads": 2},
        "fingerprint": "0123456789ab",
        "versions": {"python": "3.11"},
        "limits": {"numpy float32": {"flops": 1e11, "bytes": speeds}},
        "cases": list(rows),
        "failures": {},
    }
