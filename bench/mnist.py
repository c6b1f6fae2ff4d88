"""Training on MNIST beside PyTorch: accuracy on the test images and seconds per epoch.

    python bench/mnist.py FOLDER [--model lenet5] [--epochs 3] [--rounds 3] [--json out.json]

FOLDER holds MNIST's four IDX files. ``tensorgraph train`` and a PyTorch loop of the same network,
optimizer and batches run in turn, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, LR = 64, 1e-3
VARIANTS = ("torch", "torch-fused", "torch-fused-channels_last")


def ours(given):
    """Run the command as a user would; seconds of each epoch and the test accuracy."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = {"--data": given.folder, "--model": given.model, "--epochs": given.epochs}
        settings = [f"train.batch_size={BATCH}", f"train.seed={given.seed}"]
        command = [sys.executable, "-m", "tensorgraph_cli", "train", "--out", str(run)]
        command += [str(word) for pair in options.items() for word in pair]
        command += [word for setting in settings for word in ("--set", setting)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        epochs = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    return {"seconds": [e["seconds"] for e in epochs], "accuracy": metrics["accuracy"]["value"]}


def network(name):
    from torch import nn

    if name == "lenet5":
        return nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        )  # fmt: skip
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
    )  # fmt: skip


def theirs(given, variant):
    """The same with PyTorch: the images in memory, batches drawn by a permutation. Its learning
    rate is constant, where the command's follows a cosine: the accuracies are not one recipe's."""
    import torch

    import tensorgraph as tg

    torch.manual_seed(given.seed)
    torch.set_num_threads(2)
    data = tg.datasets.idx.load(Path(given.folder))
    mean, std = 33.3184 / 255, 78.5675 / 255
    labels = torch.tensor(data.labels)
    parts = {name: torch.tensor(data.splits[name]) for name in ("train", "test")}
    images = torch.tensor(data.images)
    model = network(given.model)
    if "channels_last" in variant:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused="fused" in variant)

    def batch(index):
        x = (images[index].float() / 255 - mean) / std
        return x.to(memory_format=torch.channels_last) if "channels_last" in variant else x

    def accuracy(part):
        model.eval()
        with torch.no_grad():
            right = [model(batch(i)).argmax(1) == labels[i] for i in parts[part].split(256)]
        return torch.cat(right).float().mean().item()

    seconds = []
    for _ in range(given.epochs):
        start = time.perf_counter()
        model.train()
        order = parts["train"][torch.randperm(len(parts["train"]))]
        for index in order.split(BATCH):
            loss = torch.nn.functional.cross_entropy(model(batch(index)), labels[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)  # without validation, as the command counts
    return {"seconds": seconds, "accuracy": accuracy("test")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--model", choices=("lenet5", "simple_cnn"), default="lenet5")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the figures to this file")
    parser.add_argument("--one", choices=VARIANTS, help="run one variant in this process")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(theirs(given, given.one)))
        return
    found = {variant: [] for variant in ("tensorgraph", *VARIANTS)}
    for i in range(given.rounds):
        found["tensorgraph"].append(ours(given))
        for variant in VARIANTS:
            command = [sys.executable, *sys.argv, "--one", variant]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            found[variant].append(json.loads(done.stdout.splitlines()[-1]))
        for variant, results in found.items():
            seconds = statistics.median(results[-1]["seconds"])
            accuracy = results[-1]["accuracy"]
            print(f"round {i + 1}: {variant:26} {seconds:6.2f} s an epoch, accuracy {accuracy:.4f}")
    best = [
        min(statistics.median(found[v][i]["seconds"]) for v in VARIANTS)
        for i in range(given.rounds)
    ]
    times = [statistics.median(r["seconds"]) for r in found["tensorgraph"]]
    ratio = statistics.median(t / b for t, b in zip(times, best, strict=True))
    print(f"{given.model}: tensorgraph / best of PyTorch, median of the rounds: {ratio:.2f}")
    if given.json:
        Path(given.json).write_text(json.dumps({"ratio": ratio, **found}, indent=1), "utf-8")


if __name__ == "__main__":
    main()
