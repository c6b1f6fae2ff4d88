"""What freezing saves: a training step of resnet18 with all of it trained, with its body frozen,
and with what the frozen body makes of the images kept; each in a process of its own.

python bench/frozen.py    images of 3 x 32 x 32 in batches of 32. Processor time is that of all
threads, which other work on the machine hardly changes. Memory: what the plan needs beside the
parameters, and by how much the process grew at most while it recorded and ran.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time

os.environ.setdefault("TENSORGRAPH_JIT", "wait")

BATCH, STEPS = 32, 20
WAYS = {"all is trained": 0, "body frozen": 1, "body frozen, its features kept": 2}


def peak():
    """MB of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(way):
    import numpy as np
    from tensorgraph_transfer.features import Cut

    import tensorgraph as tg

    tg.seed(0)
    model = tg.models.resnet18(2)
    model.infer_shape(tg.Spec((1, 3, 32, 32), "float32"))
    moved = tg.plugins.walk("transfer", model, freeze="body" if way else ())
    optimizer = tg.optimizers.adam(model.parameters(), lr=1e-4)
    model.train()
    moved.begin(0)
    x = tg.tensor(np.random.default_rng(0).standard_normal((BATCH, 3, 32, 32), np.float32))
    y = tg.tensor(np.arange(BATCH) % 2)
    answer = model
    if way == 2:
        cut = Cut(model, x)
        x, answer = cut.features(x), cut.rest

    @tg.compile
    def step(x, y):
        loss = tg.ops.cross_entropy(answer(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    before = peak()
    step(x, y)
    step(x, y)
    grown = peak() - before
    used = []
    for _ in range(STEPS):
        start = time.process_time()
        step(x, y)
        used.append(time.process_time() - start)
    kept = step.plan.outline().memory
    own = sum(size for what, size in kept.items() if what != "lent by tensors")
    print(1000 * statistics.median(used), own / 2**20, grown)


def main():
    print("| a step | processor ms | plan MiB | process grows by MiB |\n|---|---|---|---|")
    for name, way in WAYS.items():
        command = [sys.executable, __file__, str(way)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        print(f"| {name} | {' | '.join(f'{float(x):.1f}' for x in found)} |", flush=True)


if __name__ == "__main__":
    measured(int(sys.argv[1])) if sys.argv[1:] else main()
