"""Networks that nobody tuned anything for: drawn at random, with odd sizes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from bench.compare.workloads import (
    WORKLOADS,
    Conv,
    Flatten,
    Linear,
    Norm,
    Pool,
    Relu,
    Stage,
    Workload,
)

PREFIX = "random-"
CONVOLUTIONS = 4  # and a linear layer


def workload(name: str) -> Workload:
    """The workload of that name; ``random-SEED`` is drawn. Raises ``KeyError``."""
    seed = name.removeprefix(PREFIX)
    if name.startswith(PREFIX) and seed.isdecimal():
        return drawn(int(seed))
    return WORKLOADS[name]


def drawn(seed: int) -> Workload:
    """Five layers with weights: convolutions of any kernel, stride, padding and groups between odd
    numbers of channels, some with batch norm or pooling behind them, and a linear layer."""
    rng = random.Random(seed)
    size, channels = rng.randint(24, 72), rng.randint(1, 7)
    shape = channels, size, size
    batch, classes = rng.randint(8, 64), rng.randint(2, 20)
    stages: list[Stage] = []
    for _ in range(CONVOLUTIONS):
        for stage in _convolution(rng, len(stages), channels, size):
            stages.append(stage)
            if isinstance(stage, Conv):
                channels = stage.outputs
            if isinstance(stage, Conv | Pool):
                size = (size + 2 * stage.padding - stage.kernel) // stage.stride + 1
    stages += [Flatten(), Linear(str(len(stages) + 1), channels * size * size, classes)]
    optimizer = rng.choice(("adam", "sgd"))
    title = f"drawn at random, {seed}"
    return Workload(f"{PREFIX}{seed}", title, shape, batch, tuple(stages), classes,
                    optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)  # fmt: skip


def _convolution(rng: random.Random, at: int, channels: int, size: int) -> Iterator[Stage]:
    """A convolution and what follows it, from the stage with number ``at`` on; images keep at least
    two pixels."""
    kernel = rng.choice([k for k in (1, 2, 3, 3, 3, 4, 5, 7) if k <= size - 1])
    padding = rng.randint(0, kernel // 2)
    stride = rng.choice((1, 1, 2, 3) if size > 12 else (1,))
    groups = rng.choice([1, 1, *(g for g in (2, 3, 5, channels) if channels % g == 0)])
    outputs = groups * max(1, rng.randint(5, 83) // groups)
    size = (size + 2 * padding - kernel) // stride + 1
    yield Conv(str(at), channels, outputs, kernel, stride, padding, groups=groups)
    if rng.random() < 0.4:
        yield Norm(str(at + 1), outputs)
    yield Relu()
    if size >= 4 and rng.random() < 0.4:
        yield Pool(rng.choice((2, 3)), 2)
