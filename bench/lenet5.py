"""A training step of LeNet-5 beside PyTorch's, at batch 64 with Adam on random images.

    python bench/lenet5.py [--rounds 5] [--threads 2] [--json out.json]

Every library runs in a process of its own, and they take turns: two numeric libraries in one
process slow each other down. The weights are drawn once and copied to each, and the losses of the
first steps must agree. What counts is the ratio within a round, since the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

BATCH, CHECKED, WARM_UP, STEPS = 64, 5, 15, 60
SHAPES = {
    "0.weight": (6, 1, 5, 5), "0.bias": (6,), "3.weight": (16, 6, 5, 5), "3.bias": (16,),
    "7.weight": (120, 400), "7.bias": (120,), "9.weight": (84, 120), "9.bias": (84,),
    "11.weight": (10, 84), "11.bias": (10,),
}  # fmt: skip
VARIANTS = ("tensorgraph", "torch", "torch-fused", "torch-fused-channels_last")


def problem():
    """The images, the labels and the weights, the same in every process."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, 1, 28, 28), dtype="float32")
    y = rng.integers(0, 10, BATCH)
    limits = {name: 1 / np.sqrt(np.prod(shape[1:]) or 1) for name, shape in SHAPES.items()}
    draw = {n: rng.uniform(-limits[n], limits[n], SHAPES[n]).astype("float32") for n in SHAPES}
    return x, y, {n: v if v.ndim > 1 else v * 0.1 for n, v in draw.items()}


def ours():
    """A function that trains one step and returns the loss."""
    import tensorgraph as tg

    x, y, weights = problem()
    model = tg.models.lenet5()
    images, labels = tg.tensor(x), tg.tensor(y)
    model(images)
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        parameters[name].assign(tg.tensor(value))
    optimizer = tg.optimizers.adam(model.parameters(), lr=1e-3)

    def step():
        loss = tg.ops.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def theirs(variant, threads):
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    x, y, weights = problem()
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    images, labels = torch.tensor(x), torch.tensor(y)
    if "channels_last" in variant:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused="fused" in variant)

    def step():
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def measure(variant, threads):
    """The losses of the first steps, and the median time of a step in milliseconds."""
    step = ours() if variant == "tensorgraph" else theirs(variant, threads)
    losses = [float(step().item()) for _ in range(CHECKED)]
    for _ in range(WARM_UP):
        step()
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - start))
    return {"losses": losses, "milliseconds": statistics.median(times)}


def run(variant, threads):
    environment = {**os.environ, "TENSORGRAPH_NUM_THREADS": str(threads)}
    command = [sys.executable, __file__, "--one", variant, "--threads", str(threads)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(rounds, threads):
    found = {variant: [] for variant in VARIANTS}
    for i in range(rounds):
        for variant in VARIANTS:
            result = run(variant, threads)
            found[variant].append(result["milliseconds"])
            if variant == VARIANTS[0]:
                losses = result["losses"]
            np.testing.assert_allclose(result["losses"], losses, rtol=1e-4, err_msg=variant)
        best = min(VARIANTS[1:], key=lambda v: found[v][-1])
        ratio = found["tensorgraph"][-1] / found[best][-1]
        shown = ", ".join(f"{v} {times[-1]:.2f} ms" for v, times in found.items())
        print(f"round {i + 1}: {shown}; ratio to the best of PyTorch ({best}): {ratio:.2f}")
    ours = found["tensorgraph"]
    ratios = [t / min(found[v][i] for v in VARIANTS[1:]) for i, t in enumerate(ours)]
    summary = {
        "milliseconds": {v: statistics.median(times) for v, times in found.items()},
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "first losses": losses,
    }
    print("medians: " + ", ".join(f"{v} {t:.2f} ms" for v, t in summary["milliseconds"].items()))
    print(f"tensorgraph / best of PyTorch, median of {rounds} rounds: {summary['ratio']:.2f}")
    return summary


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--one", choices=VARIANTS, help="time one variant in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.threads)))
        return
    summary = compare(given.rounds, given.threads)
    if given.json:
        with open(given.json, "w") as file:  # noqa: PTH123
            json.dump(summary, file, indent=1)


if __name__ == "__main__":
    main()
