"""Chains of many tensors in one launch, as optimizers ask for: on the emulated device, and compiled
by NVRTC."""

import weakref

import ml_dtypes
import numpy as np
import pytest
from emulated_device import EmulatedDevice, available
from tensorgraph_cupy.kernels.chain import Chain, Operand, Step
from tensorgraph_cupy.kernels.many import Row, many, many_source
from test_cuda_sources import check

emulated = pytest.mark.skipif(not available(), reason="g++ is not installed")
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
RANDOM = np.random.default_rng(0)


def adam_chain():
    """Adam as the optimizer records it: p, g, m, v and the numbers of the step, of one element."""
    each, one = Operand("float32", (True,)), Operand("float32", (False,))
    constants = (0.1, 0.999, 0.001)
    steps = [Step("constant", (), "float32", (("value", c),)) for c in constants]  # 6, 7, 8
    for op, *operands in (
        ("subtract", 1, 2),
        ("multiply", 9, 6),
        ("add", 2, 10),  # 11: m
        ("multiply", 3, 7),
        ("multiply", 1, 1),
        ("multiply", 13, 8),
        ("add", 12, 14),  # 15: v
        ("sqrt", 15),
        ("add", 16, 5),
        ("divide", 11, 17),
        ("multiply", 18, 4),
        ("subtract", 0, 19),  # 20: p
    ):
        steps.append(Step(op, tuple(operands), "float32"))
    outputs = ((20, "float32"), (11, "float32"), (15, "float32"), (20, "bfloat16"))
    return Chain((each, each, each, each, one, one), tuple(steps), outputs)


@emulated
@pytest.mark.parametrize("sizes", [(1,), (0, 3), (5, 16384, 16385, 40000, 4, 2)], ids=str)
def test_one_launch_for_many_tensors(sizes):
    """An optimizer's update, in place, beside a copy of the parameters in bfloat16."""
    device, scalars = EmulatedDevice(), np.float32([0.01, 1e-8])
    held = device.put(scalars)
    tensors, wanted = [], []
    for size in sizes:
        p, g, m, v = RANDOM.random((4, size), np.float32)
        arrays = [device.put(a) for a in (p, g, m, v)]
        p_, g_, m_, v_ = [a.address for a in arrays]
        small = device.allocate(2 * size)
        numbers = (held.address, held.address + 4)
        addresses = [p_, g_, m_, v_, *numbers, p_, m_, v_, small.address]
        tensors.append(Row(adam_chain(), size, addresses))
        m = m + (g - m) * np.float32(0.1)
        v = v * np.float32(0.999) + g * g * np.float32(0.001)
        wanted.append((arrays, small, p - m / (np.sqrt(v) + scalars[1]) * scalars[0], m, v))
    many(device, tensors).launch(device)
    assert len(device.machine.launches) == 1
    for (p, _, m, v), small, *want in wanted:
        for memory, value in zip((p, m, v), want):
            found = device.get(memory, value.shape, np.float32)
            np.testing.assert_allclose(found, value, 1e-5)
        found = device.get(small, want[0].shape, BFLOAT16).astype(np.float32)
        np.testing.assert_allclose(found, want[0], 2**-8)


def batch_counts():
    """One more, as a batch norm counts."""
    one = Step("constant", (), "int64", (("value", 1),))
    steps = (one, Step("add", (0, 1), "int64"))
    return Chain((Operand("int64", (True,)),), steps, ((2, "int64"),))


class LateDevice(EmulatedDevice):
    """Reads the host's memory as late as CUDA may: when the next kernel needs it."""

    def copy_in(self, target, host):
        self.late = [*getattr(self, "late", ()), (target, weakref.ref(host))]

    def launch(self, *arguments):
        for target, host in self.late:
            assert host() is not None, "the host's memory is gone before it was copied"
            super().copy_in(target, host())
        super().launch(*arguments)


@emulated
def test_tables_may_be_copied_late():
    device, counts = LateDevice(), np.array([3, 41])
    held = device.put(counts)
    many(device, [Row(batch_counts(), 2, [held.address] * 2)]).launch(device)
    assert device.get(held, (2,), np.int64).tolist() == [4, 42]


@emulated
def test_one_launch_for_chains_of_several_kinds():
    """Elements at an address that is no multiple of 16 are taken singly, by a kind of its own."""
    device = EmulatedDevice()
    halved = Chain(
        (Operand("float32", (True,)),), (Step("cast", (0,), "float32"),), ((1, "bfloat16"),)
    )
    counts, x = np.array([3, 41]), RANDOM.standard_normal(5001).astype(np.float32)
    count, held = device.put(counts), device.put(x)
    whole, part = device.allocate(2 * x.size), device.allocate(2 * x.size)
    rows = [
        Row(halved, x.size, [held.address, whole.address]),
        Row(batch_counts(), 1, [count.address, count.address]),
        Row(halved, x.size - 1, [held.address + 4, part.address]),
        Row(batch_counts(), 1, [count.address + 8, count.address + 8]),
    ]
    many(device, rows).launch(device)
    assert len(device.machine.launches) == 1
    np.testing.assert_array_equal(device.get(count, (2,), np.int64), counts + 1)
    want = x.astype(BFLOAT16)
    np.testing.assert_array_equal(device.get(whole, x.shape, BFLOAT16), want)
    np.testing.assert_array_equal(device.get(part, (x.size - 1,), BFLOAT16), want[1:])


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_the_source_compiles_without_spills(architecture):
    kinds = ((adam_chain(), 4), (batch_counts(), 1), (adam_chain(), 1))
    check(many_source(kinds, 16), "chain_many.cu", architecture)
