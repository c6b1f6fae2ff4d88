"""What a compiled step costs: memory, waiting, and how its time grows with the batch."""

import gc
import os
import subprocess
import sys
import time
import tracemalloc
import weakref
from pathlib import Path

import numpy as np
import pytest
import tensorgraph_walks.compiled as walk
from tensorgraph_walks.interpret import Interpreter

import tensorgraph as tg

MODELS = {"lenet5": tg.models.lenet5, "simple_cnn": tg.models.simple_cnn}
PEAK = """
import numpy as np, tensorgraph as tg
def peak():
    words = open("/proc/self/status").read().split()
    return int(words[words.index("VmHWM:") + 1]) / 1024
before = peak()
model = tg.models.lenet5(classes=10)
x, y = tg.tensor(np.zeros((64, 1, 28, 28), "float32")), tg.tensor(np.arange(64) % 10)
model(x)
optimizer = tg.optimizers.adam(model.parameters())
@tg.compile
def step(x, y):
    optimizer.zero_grad()
    loss = tg.ops.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
for _ in range(5):
    step(x, y).item()
print(peak() - before)
"""


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")


def training(name, n, dtype="float32", compiled=True):
    """A step on ``n`` images, and its arguments."""
    tg.seed(0)
    model = MODELS[name](classes=10)
    rng = np.random.default_rng(0)
    with tg.use(dtype=dtype):
        x = tg.tensor(rng.standard_normal((n, 1, 28, 28)).astype(dtype))
        y = tg.tensor(rng.integers(0, 10, n))
        model(x)
        optimizer = tg.optimizers.adam(model.parameters(), lr=1e-3)

    def step(x, y):
        optimizer.zero_grad()
        loss = tg.ops.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return tg.compile(step) if compiled else step, x, y


def test_what_a_recorded_step_has_saved_is_gone_when_a_plan_is_made(monkeypatch):
    """Both are as large as all activations."""
    seen, alive = [], []

    def runner(program, backend):
        gc.collect()
        alive.extend(name for name, x in seen if x() is not None)
        return Interpreter(program, backend)

    monkeypatch.setattr(walk, "_runner", runner)
    w = tg.tensor(2.0, requires_grad=True)

    @tg.compile
    def step(x):
        hidden = tg.ops.tanh(x * w)
        loss = tg.ops.sum(hidden)
        seen.extend([("hidden", weakref.ref(hidden)), ("its array", weakref.ref(hidden.data))])
        loss.backward()
        return loss

    step(tg.tensor(np.ones((4, 3), "float32")))
    assert len(seen) == 2
    assert alive == []


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak")
def test_the_memory_of_a_training_step(at_once):
    """PyTorch's takes 103 MiB beyond its import: python -m bench.compare --workloads lenet5."""
    if sys.platform == "linux" and os.uname().machine != "x86_64":
        pytest.skip("LLVM links kernels here, which takes 100 MiB")
    run = [sys.executable, "-c", PEAK]
    for _ in range(2):  # the first may compile
        done = subprocess.run(run, check=True, capture_output=True, text=True)
    assert float(done.stdout) < 80


def test_a_replay_allocates_little(at_once):
    """Its results are new; everything else stays where it is."""
    step, x, y = training("lenet5", 64)
    tracemalloc.start()
    try:
        for _ in range(5):  # traced too: what a step replaces is freed by the next
            step(x, y)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        for _ in range(10):
            step(x, y)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if type(step.plan.runner).__module__.startswith("tensorgraph_numba"):
        assert peak - before < 64 * 1024
    assert now - before < 64 * 1024, f"{now - before} bytes in ten steps"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_time_grows_linearly_in_the_batch(at_once, name, capsys):
    """From 8 to 512 samples, 64 times as many, no sample takes more than twice as long as in the
    batch where it takes longest of those that are smaller."""
    each = {}
    for n in (8, 32, 128, 512):
        step, x, y = training(name, n)
        for _ in range(3):
            step(x, y).item()
        times = []
        for _ in range(max(10, 2048 // n)):
            start = time.perf_counter()
            step(x, y).item()
            times.append(time.perf_counter() - start)
        each[n] = min(times) / n  # what else the machine does only adds
    with capsys.disabled():
        shown = ", ".join(f"{n}: {1e6 * s:.1f}" for n, s in each.items())
        print(f"\n{name}, microseconds per sample by batch: {shown}")
    assert each[512] < 2 * max(each[8], each[32])
    assert each[128] < 2 * max(each[8], each[32])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "dtype", "tolerance", "count"),
    [
        ("lenet5", "float32", 1e-6, 10),
        ("lenet5", "float64", 1e-12, 100),
        ("simple_cnn", "float64", 1e-12, 100),
    ],
)
def test_losses_are_those_of_eager_mode(at_once, name, dtype, tolerance, count):
    """Sums are in another order. Where a roundoff decides which pixel of a window is largest, or
    whether one is above 0, runs part: in float32 within a hundred steps on most data, as two runs
    of eager mode do whose weights differ by a roundoff."""
    rng = np.random.default_rng(5)
    patterns, labels = rng.standard_normal((10, 1, 28, 28)), rng.integers(0, 10, (count, 64))
    images = rng.standard_normal((count, 64, 1, 28, 28)) + 0.5 * patterns[labels]
    losses = {}
    for compiled in (False, True):
        step, *_ = training(name, 64, dtype, compiled)
        given = [(tg.tensor(x.astype(dtype)), tg.tensor(y)) for x, y in zip(images, labels)]
        with tg.use(dtype=dtype):
            losses[compiled] = np.array([step(x, y).item() for x, y in given])
    assert count < 100 or losses[True][-1] < 0.5 * losses[True][0]
    assert np.abs(losses[True] / losses[False] - 1).max() < tolerance
