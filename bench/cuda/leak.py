"""Whether anything grows over thousands of steps: memory of the device and of the host, the number
of Python objects."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg
from bench.cuda.process import Row
from bench.cuda.setting import Setting

COMPILED, EAGER = (1000, 2000, 5000, 10_000), (100, 200, 400)  # steps after which it is looked
SHORTER = (50, 100, 200), (5, 10, 20)  # in small sizes
BATCHES = 16, 7  # mostly the first; the second as the last of an epoch has it
EPOCH = 20
MIB = 1 << 20
# Of pinned blocks there are as many as small arrays were ever on their way at a time: the host is
# up to 16 steps ahead.
ALLOWED = {"device": 0, "pool": 0, "pinned": 64, "host": 8 * MIB, "objects": 200}


def run(setting: Setting, note: Callable[[Row], None]) -> None:
    backend = setting.backend()
    for kind, looks in zip(("compiled", "eager"), SHORTER if setting.small else (COMPILED, EAGER)):
        found = []
        for done, row in watched(steps(kind == "compiled"), looks, backend, setting):
            note({"steps": kind, "after": done, **row})
            found.append(row)
        if len(found) < len(looks):
            note({"left_out": f"{kind} steps up to {looks[len(found)]}: the time was up"})
        whole = len(found) == len(looks)
        more = grown(found) if found else {}
        claim = f"not more after {looks[-1]:,} than after {looks[0]:,}"
        note({"verdict": f"memory and objects, {kind} steps", "claim": claim,
              "reached": not more if whole or more else None, "grown": more})  # fmt: skip


def watched(
    steps: Iterator[None], looks: Sequence[int], backend: Any, setting: Setting
) -> Iterator[tuple[int, Row]]:
    """Take the steps, and look after so many."""
    for done in range(1, looks[-1] + 1):
        next(steps)
        if done in looks:
            yield done, held(backend)
        if setting.left() < 0:
            return


def steps(compiled: bool) -> Iterator[None]:
    """Training steps of a small network, a batch after the other; losses are read at times."""
    layers, random = tg.layers, np.random.default_rng(0)
    tg.seed(0)
    model = layers.sequential(
        layers.conv2d(6, 3, padding=1),
        layers.batch_norm2d(),
        tg.activations.relu,
        layers.max_pool2d(2),
        layers.flatten(),
        layers.dropout(0.2),
        layers.linear(10),
    )
    model(tg.tensor(np.zeros((2, 1, 8, 8), np.float32)))
    model.train()
    optimizer = tg.optimizers.adam(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        loss = tg.ops.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    take: Any = tg.compile(step) if compiled else step
    number = 0
    while True:
        number += 1
        size = BATCHES[number % EPOCH == 0]
        x = random.standard_normal((size, 1, 8, 8), np.float32)
        loss = take(tg.tensor(x), tg.tensor(random.integers(0, 10, size)))
        if number % 16 == 0 and not np.isfinite(loss.item()):
            raise ArithmeticError(f"the loss of step {number} is {loss.item()}")
        yield


def held(backend: Any) -> Row:
    """Bytes in use and the number of objects, after all that can go has gone."""
    backend.synchronize()
    gc.collect()
    return {**device_bytes(backend), "host": resident(), "objects": len(gc.get_objects())}


def device_bytes(backend: Any) -> Row:
    """What the device has given away, and what the pools hold of that."""
    if not hasattr(backend.xp, "cuda"):  # emulated
        return {"device": sum(size for size, _ in backend.device.machine.memories.values())}
    backend.xp.cuda.alloc_pinned_memory(0)  # CuPy looks only then which of its copies are done
    free, total = backend.xp.cuda.runtime.memGetInfo()
    pool = backend.xp.get_default_memory_pool()
    pinned = backend.xp.get_default_pinned_memory_pool().n_free_blocks()
    return {
        "device": total - free,
        "pool": pool.total_bytes(),
        "pool_used": pool.used_bytes(),
        "pinned": pinned,
    }


def resident() -> int:
    """Bytes of this process that lie in the host's memory."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def grown(rows: Sequence[Row]) -> Row:
    """By how much each exceeds what it was at the first look, where that is more than allowed."""
    first = rows[0]
    by = {name: max(row[name] for row in rows) - first[name] for name in first}
    return {name: grew for name, grew in by.items() if grew > ALLOWED.get(name, 0)}
