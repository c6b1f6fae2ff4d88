"""What a replay asks the GPU for besides its graph: the host does it in every step."""

import numpy as np
import pytest
from cuda_training import Training
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels.numbers import MOST, Numbers, numbers_source, write
from test_cuda_plan import emulated  # noqa: F401
from test_cuda_sources import check

import tensorgraph as tg

needs = pytest.mark.skipif(not available(), reason="g++ is not installed")
KINDS = [("float32", 1), ("float64", 1), ("uint32", 4), ("int64", 2)]


@needs
@pytest.mark.parametrize("times", [1, MOST])
def test_numbers_are_written_by_a_launch(times):
    device, given, wanted = EmulatedDevice(), [], []
    for dtype, size in KINDS * times:
        values = np.arange(2, 2 + size).astype(dtype)
        held = device.put(np.zeros(size, dtype))
        given.append((held.address, Numbers(values if size > 1 else values.reshape(()))))
        wanted.append((held, values))
    write(device, given)
    assert len(device.machine.launches) == -(-len(given) // MOST)
    for held, values in wanted:
        np.testing.assert_array_equal(device.get(held, values.shape, values.dtype), values)
    write(device, [])


def test_the_kernel_compiles():
    check(numbers_source(tuple((np.dtype(d), n) for d, n in KINDS)), "numbers.cu", "sm_90")


def dropping(classes):
    layers = tg.layers
    return layers.sequential(layers.flatten(), layers.dropout(0.5), layers.linear(classes))


STEPS = {  # a network, its optimizer → what a step launches to have its numbers
    "the same numbers": (lambda n: tg.models.mlp(n, hidden=()), "sgd", []),
    "numbers of the step": (lambda n: tg.models.mlp(n, hidden=()), "adam", ["numbers"]),
    "random words": (dropping, "adam", ["numbers"]),
}


@needs
@pytest.mark.parametrize("name", STEPS)
def test_a_replay_asks_for_little(emulated, monkeypatch, name):  # noqa: F811
    """Arguments that lie as the plan's are copied; the host's numbers are no arrays."""
    make, optimizer, wanted = STEPS[name]
    with tg.use(backend="cupy"):
        training = Training(make, (5,), optimizer, {"lr": 0.1}, compiled=True)
        batch = training.batch()
        losses = [training.step(*batch) for _ in range(3)]
        made = []
        monkeypatch.setattr(type(emulated), "asarray", lambda *given: made.append(given))
        before = len(emulated.device.machine.launches)
        losses.append(training.step(*batch))
    assert [function for function, *_ in emulated.device.machine.launches[before:]] == wanted
    assert not made
    assert len({x.item() for x in losses}) == 4


@needs
def test_many_numbers_are_an_array(emulated):  # noqa: F811
    with tg.use(backend="cupy"):
        step = tg.compile(lambda x: x * 2)
        step(tg.tensor(np.ones(4, np.float32)))
        number = step.plan.runner.number
        assert isinstance(number([1] * MOST, "uint32"), Numbers)
        for others in (number([1] * (MOST + 1), "uint32"), number(True, "bool")):
            assert isinstance(others, emulated.xp.ndarray)
