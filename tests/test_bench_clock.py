"""How times are taken: in batches, on the clock of the device where there is one."""

from types import SimpleNamespace

import pytest
from bench_help import Device
from tensorgraph_bench import cases, clock, results
from tensorgraph_bench.samples import op_sample
from tensorgraph_bench.verify import ready

import tensorgraph as tg


@pytest.fixture
def device(monkeypatch):
    made = Device()
    monkeypatch.setitem(tg.plugins._backends, "device", made)
    return made


def test_a_batch_of_launches_is_waited_for_once(device):
    now = clock.clock_of(device)
    device.readings = 0
    assert clock.batch(device.launch, now, 100) == pytest.approx(300e-6)
    assert (device.launches, device.readings, device.waits) == (100, 2, 0)
    found = clock.turns(device.launch, now, 0.1)
    assert len(found) == clock.TURNS and found == pytest.approx([3e-6] * clock.TURNS)
    assert device.launches / device.readings > 150, "batches last 1 ms: 333 launches"


def test_what_takes_long_has_fewer_turns(device, monkeypatch):
    hours = iter(range(99))
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=lambda: next(hours)))
    slow = clock.turns(lambda: [device.launch() for _ in range(1000)], clock.clock_of(device), 0.3)
    assert slow == pytest.approx([3e-3] * 3), "10 times 0.3 seconds are over"


def test_without_a_clock_of_its_own_a_backend_is_synchronized():
    class Host(Device):
        clock = None

    backend = Host()
    now = clock.clock_of(backend)
    before = now()
    assert backend.waits == 1 and now() >= before and backend.waits == 2


def test_cupys_clock_adds_up_the_times_between_events():
    from tensorgraph_cupy.clock import EventClock

    log, times = [], iter([1.0, 3.5, 1e9])

    class Event:
        def record(self):
            self.at = next(times)
            log.append("record")

        def synchronize(self):
            log.append("wait")

    cuda = SimpleNamespace(
        Event=Event,
        Device=lambda: SimpleNamespace(id=0),
        runtime=SimpleNamespace(getDeviceProperties=lambda i: {"name": b"a GPU"}),
        get_elapsed_time=lambda first, last: last.at - first.at,  # milliseconds
    )
    now = EventClock(cuda)
    assert now.device == "a GPU"
    assert now() == pytest.approx(2.5e-3)
    assert now() == pytest.approx((1e9 - 1.0) / 1e3)
    assert log == ["record", "wait"] * 3


def test_cases_on_a_device_are_timed_on_its_clock(device):
    relu = op_sample("relu", "", ((16,),))
    sample = relu._replace(call=lambda x: device.launch() or relu.call(x))
    (case,) = cases.of_sample(sample, device)
    made = ready(case)
    now = clock.clock_of(device)
    assert clock.turn(made.call, now, clock.Pace(10, 3)) == pytest.approx(3e-6)
    assert results.devices(["device", "numpy"]) == {"device": "a device that is none"}
