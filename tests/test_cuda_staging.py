"""Inputs that are copied beside what is computed, on the emulated device with an account of its
streams: that the copies wait for what they must. Overlap and speed only a GPU shows."""

import numpy as np
import pytest
from emulated_backend import EmulatedBackend
from stream_order import OrderedDevice
from tensorgraph_cupy import staging

SIZES = (20_000, 30_000, 17_000, 25_000, 40_000, 20_000, 20_000)


def test_arrays_are_copied_by_turns_through_two_slots():
    backend = EmulatedBackend(OrderedDevice())
    random = np.random.default_rng(0)
    given = [random.normal(size=(size // 4, 4)) for size in SIZES]
    made = []
    for x in given:
        made.append(backend.asarray(x[::-1], "float32"))
        assert made[-1].dtype == np.float32
    for x, got in zip(given, made):
        np.testing.assert_array_equal(backend.to_host(got), x[::-1].astype(np.float32))
    assert len(backend.staging.slots) == 2
    assert len({x.ctypes.data for x in made}) == len(SIZES), "each is an array of its own"
    streams = {access[3] for access in backend.device.machine.accesses}
    assert len(streams) == 2


@pytest.mark.parametrize("missing", ["taken", "filled"])
def test_the_account_finds_a_wait_that_is_missing(monkeypatch, missing):
    device = OrderedDevice()
    backend = EmulatedBackend(device)
    beside = backend.staging.beside
    forgetful = beside if missing == "taken" else device
    monkeypatch.setattr(forgetful, "wait", lambda event: None)
    with pytest.raises(AssertionError, match="does not wait for"):
        for size in SIZES:
            backend.asarray(np.zeros(size, np.float32), "float32")


def test_small_arrays_are_not_staged():
    backend = EmulatedBackend(OrderedDevice())
    backend.asarray(np.zeros(8, np.float32), "float32")
    assert not backend.staging.slots


def test_new_memory_belongs_to_the_stream_that_fills_it(monkeypatch):
    """A slot on memory that the first stream has just given back would be filled too early."""

    class OfTheFirst(staging.Slot):
        def __init__(self, device, size):
            super().__init__(backend.device, size)

    device = OrderedDevice()
    backend = EmulatedBackend(device)
    monkeypatch.setattr(staging, "Slot", OfTheFirst)
    with pytest.raises(AssertionError, match="does not wait for memory that is handed out"):
        backend.asarray(np.zeros(SIZES[0], np.float32), "float32")


def test_memory_is_handed_out_again_in_the_order_of_its_stream():
    device = OrderedDevice()
    side = device.beside()
    memory, other = device.allocate(64), side.allocate(64)
    side.wait(device.record())
    side.copy(memory.address, other.address, 64)
    event = side.record()
    del memory
    with pytest.raises(AssertionError, match="is handed out does not wait for copy"):
        device.allocate(8)
    side.finish(event)  # the host waits
    device.allocate(8)
