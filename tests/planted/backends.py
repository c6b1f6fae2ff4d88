"""Backends with one fault each."""

import numpy as np
from tensorgraph_check.kinds.kernel import find_op

from planted.fault import Fault
from tensorgraph import Kernel


class Plain:
    """NumPy again, under another name."""

    xp = np

    def __init__(self, name="plain", kernels=()):
        self.name, self.kernels = name, kernels

    def asarray(self, data, dtype):
        data = np.from_dlpack(data) if hasattr(data, "__dlpack__") else data
        return np.array(data, dtype)

    def to_host(self, array):
        return array

    def synchronize(self):
        pass


def Crooked():  # noqa: N802  a backend's factory
    return Plain("crooked", [Kernel("sin", "mine", lambda x: np.sin(x) + x.dtype.type(1e-3))])


class Wide(Plain):
    def asarray(self, data, dtype):
        return super().asarray(data, "int64" if dtype == "uint8" else dtype)


class Numbers(Plain):
    def asarray(self, data, dtype):
        made = super().asarray(data, dtype)
        return made if isinstance(data, np.ndarray) else made + 1


class Sharing(Plain):
    def asarray(self, data, dtype):
        shares = isinstance(data, np.ndarray) and dtype is None
        return data if shares else super().asarray(data, dtype)


class NoExchange(Plain):
    def asarray(self, data, dtype):
        if not isinstance(data, np.ndarray) and hasattr(data, "__dlpack__"):
            raise TypeError("no DLPack here")
        return np.array(data, dtype)


def other_bits(key, *, shape):
    return np.arange(np.prod(shape, dtype=int), dtype="uint32").reshape(shape)


def wrong_pick(values, x, maxima, *, windows):
    """For rows of 5, which no sample of an op has."""
    found = find_op("max_pool_pick").portable(np, values, x, maxima, windows=windows)
    return found * 1.5 if x.shape[-1] == 5 else found


def wrong_if_large(x):
    return np.exp(x) * x.dtype.type(1.0 if x.size < 300 else 1.001)


BACKEND_FAULTS = [
    Fault("protocol", "backend", "no synchronize", lambda: type("Halting", (), {
        "name": "halting", "xp": np, "kernels": (), "asarray": None, "to_host": None})(),
          "it lacks synchronize"),
    Fault("protocol", "backend", "kernel of no op",
          lambda: Plain("plain", [Kernel("sine", "mine", np.sin)]), "kernel 'mine' of 'sine'"),
    Fault("protocol", "backend", "of another name", lambda: "alias",
          "its name is 'plain', and it is registered as 'alias'",
          register=("backends", "alias", Plain)),
    Fault("arrays", "backend", "numbers", Numbers, "asarray(2, 'int64') has other values"),
    Fault("arrays", "backend", "wide", Wide, "uint8[] comes back as int64[]"),
    Fault("own memory", "backend", "shares", Sharing, "shares memory"),
    Fault("DLPack", "backend", "unknown", NoExchange, "no DLPack here"),
    Fault("random bits", "backend", "of its own",
          lambda: Plain("plain", [Kernel("random_bits", "mine", other_bits)]), "and on NumPy"),
    Fault("ops", "backend", "tanh", lambda: Plain("plain", [
        Kernel("tanh", "mine", lambda x: np.tanh(x) * x.dtype.type(1.001))]), "tanh"),
    Fault("gradients of order 2", "backend", "max_pool_pick", lambda: Plain("plain", [
        Kernel("max_pool_pick", "mine", wrong_pick)]), "gradcheck: at order"),
    Fault("own kernels", "backend", "large ones",
          lambda: Plain("plain", [Kernel("exp", "mine", wrong_if_large)]),
          "and the portable kernel"),
]  # fmt: skip
