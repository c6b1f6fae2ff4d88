"""What augmentation costs: each beside the same training step of simple_cnn without it.

python bench/augment.py [NAME …]    on images of 28 x 28 in batches of 64. Steps take turns, so that
a busy machine slows both; the figure is the median of the ratios of steps that follow each other.
Kernels are compiled before (TENSORGRAPH_JIT=wait): else it is that of the first seconds of a run.
With TENSORGRAPH_NUM_THREADS=1 the processor's time is taken, which other programs hardly lengthen.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

os.environ.setdefault("TENSORGRAPH_JIT", "wait")

import numpy as np
from tensorgraph_train.augment import Augmentations, keys
from tensorgraph_train.runfile import Named

import tensorgraph as tg

BATCH, ROUNDS, WARM = 64, 200, 5
CLOCK = time.process_time if os.environ.get("TENSORGRAPH_NUM_THREADS") == "1" else time.perf_counter
SHARE = 1.10  # of a step's time, what it may take with an augmentation


def both(step, change):
    """A step after the augmentation of its batch, as training does it."""

    def run(x, y, key):
        if change is not None:
            with tg.no_grad():
                x, y = change(x, y, key)
        return step(x, y)

    return run


def steps(names, channels):
    """A compiled training step for each name, "" being without augmentation."""
    made = {}
    for name in names:
        tg.seed(0)
        model = tg.models.simple_cnn()
        model.infer_shape(tg.Spec((1, channels, 28, 28), "float32"))
        optimizer = tg.optimizers.adam(model.parameters(), lr=1e-3)
        chosen = [Named(name)] if name else []
        change = Augmentations(chosen, (0.5,) * channels, (0.25,) * channels, 10)

        def step(x, y, model=model, optimizer=optimizer):
            loss = tg.ops.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        made[name] = both(tg.compile(step), tg.compile(change) if name else None)
    return made


def measured(name, channels):
    """Seconds of a step without and with an augmentation, the medians, and of their ratios."""
    rng, taken = np.random.default_rng(0), {"": [], name: []}
    x = tg.tensor(rng.standard_normal((BATCH, channels, 28, 28)).astype(np.float32))
    y = tg.tensor(rng.integers(0, 10, BATCH))
    made = steps(taken, channels)
    for i in range(WARM + ROUNDS):
        key = keys(0, i, np.arange(BATCH))
        for each in list(taken)[:: 1 if i % 2 else -1]:
            start = CLOCK()
            made[each](x, y, key).item()
            if i >= WARM:
                taken[each].append(CLOCK() - start)
    bare, changed = taken.values()
    ratios = [b / a for a, b in zip(bare, changed, strict=True)]
    return [statistics.median(values) for values in (bare, changed, ratios)]


def main():
    names = sys.argv[1:] or sorted(set(tg.augmentations))
    slow = 0
    for name in names:
        bare, changed, ratio = measured(name, 3 if name == "colour_jitter" else 1)
        slow += ratio > SHARE
        print(f"{name:16} {bare * 1e3:7.2f} ms -> {changed * 1e3:7.2f} ms  x {ratio:.3f}")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
