"""Trains the run files of this folder on PneumoniaMNIST with three seeds; tabulates the figures.

    python -m bench.pneumonia PNEUMONIAMNIST.npz [--only NAME…] [--seeds 0 1 2] [--docs]
    python -m bench.pneumonia [--docs]      the table of bench/results/pneumonia.json alone

Each run is ``tensorgraph train RUN.toml`` in a process of its own. Those whose folder is there are
not repeated, and one that was interrupted goes on, but its seconds are left out. Delete a run's
folder to make it anew. The table is of all runs whose folders are there.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tensorgraph as tg

HERE, ROOT = Path(__file__).parent, Path(__file__).resolve().parents[2]
RESULTS, PAGE = ROOT / "bench" / "results" / "pneumonia.json", ROOT / "docs" / "results.md"
BEGIN, END = "<!-- pneumonia: begin -->", "<!-- pneumonia: end -->"
TITLES = {
    "small_cnn": "small CNN",
    "small_cnn_augmented": "small CNN, augmented",
    "resnet18": "ResNet-18, augmented",
    "lite0_frozen": "EfficientNet-Lite0, pre-trained, frozen",
    "lite0_tuned": "EfficientNet-Lite0, pre-trained, fine-tuned, augmented",
}
PUBLISHED = {  # AUC, accuracy
    "ResNet-18": (0.944, 0.854),
    "ResNet-50": (0.948, 0.854),
    "auto-sklearn": (0.942, 0.855),
    "AutoKeras": (0.947, 0.878),
    "Google AutoML Vision": (0.991, 0.946),
}
HEAD = (
    "model",
    "AUC",
    "accuracy at 0.5",
    "at the threshold",
    "sensitivity",
    "specificity",
    "seconds / of processor",
)
CLASSES = "normal", "pneumonia"
TIMES = "seconds", "processor"
TOOK = "took.json"  # in a run's folder, when the run is over
RULE = {"sensitivity": 0.95}  # that of the run files
Row = dict[str, Any]


def train(name: str, seed: int, data: Path, folder: Path) -> None:
    """As a user would, unless it was done; with how long it took and on what."""
    out = folder / f"{name}-{seed}"
    if (out / TOOK).exists():
        return
    again = (out / "checkpoint.safetensors").exists()
    command = [sys.executable, "-m", "tensorgraph_cli", "train", "--out", str(out)]
    if again:
        command += ["--resume"]
    else:
        command += [str(HERE / f"{name}.toml"), "--data", str(data), "--seed", str(seed)]
    load, start, before = os.getloadavg()[0], time.perf_counter(), processor_seconds()
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise SystemExit(f"{out}: training ended with status {done.returncode}")
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    took: Row = {"date": date, "commit": commit(), **tg.plugins.walk("machine")}
    if not again:
        seconds = time.perf_counter() - start
        took |= {"seconds": seconds, "processor": processor_seconds() - before, "load": load}
    (out / TOOK).write_text(json.dumps(took), "utf-8")
    print(out.name, file=sys.stderr, flush=True)


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def predictions(folder: Path) -> dict[str, tuple[Any, Any]]:
    """Of the validation and the test images the probabilities (n, 2) and the labels (n,)."""
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for split in ("val", "test"):
        own = [r for r in rows if r["split"] == split]
        scores = np.array([[float(r[name]) for name in CLASSES] for r in own])
        found[split] = scores, np.array([CLASSES.index(r["label"]) for r in own])
    return found


def figures(evaluation: Mapping[str, Any]) -> Row:
    at = evaluation["at_threshold"]
    return {
        "auc": evaluation["metrics"]["auc"]["value"],
        "accuracy": evaluation["metrics"]["accuracy"]["value"],
        **{k: at[k]["value"] for k in ("sensitivity", "specificity")},
        "accuracy at the threshold": at["accuracy"]["value"],
    }


def together(folders: Iterable[Path]) -> Row:
    """The figures of the mean of what several runs say, its threshold chosen on validation too."""
    runs = [predictions(folder) for folder in folders]
    mean = {s: np.mean([run[s][0] for run in runs], 0) for s in ("val", "test")}
    outputs = {s: np.log(np.maximum(p, 1e-300)) for s, p in mean.items()}
    labels = {s: runs[0][s][1] for s in mean}
    kind = "classification"
    decision = tg.plugins.walk(
        "settle", outputs["val"], labels["val"], labels["val"], CLASSES, kind, rule=RULE
    )
    scores = tg.plugins.walk("probabilities", outputs["test"], kind, decision["temperature"])
    found = tg.plugins.walk(
        "evaluate", scores, labels["test"], CLASSES, split="test", task=kind, decision=decision
    )
    return figures(found)


def collected(folder: Path) -> Row:
    """All runs that are there, and what those of one run file say together."""
    found: Row = {"runs": [], "together": {}}
    for name in TITLES:
        own = sorted(folder.glob(f"{name}-[0-9]*/{TOOK}"))
        for took in own:
            evaluation = json.loads((took.parent / "evaluation.json").read_text("utf-8"))
            row = {"name": name, "seed": int(took.parent.name.rpartition("-")[2])}
            found["runs"].append(row | figures(evaluation) | json.loads(took.read_text("utf-8")))
        if len(own) > 1:
            found["together"][name] = together(took.parent for took in own)
    return found


def table(found: Mapping[str, Any]) -> str:
    """In Markdown: the runs, their means, and what is published."""
    columns = ("auc", "accuracy", "accuracy at the threshold", "sensitivity", "specificity")
    lines = [HEAD, ("---",) + ("---:",) * (len(HEAD) - 1)]
    for name in dict.fromkeys(r["name"] for r in found["runs"]):
        own = [r for r in found["runs"] if r["name"] == name]
        timed = [r for r in own if "seconds" in r]
        seconds = [f"{statistics.median(r[k] for r in timed):.0f}" for k in TIMES if timed]
        title = TITLES[name] if len(own) > 2 else f"{TITLES[name]} ({len(own)} of 3 seeds)"
        lines.append((title, *(spread([r[c] for r in own]) for c in columns), " / ".join(seconds)))
        if name in found["together"]:
            mean = found["together"][name]
            lines.append(
                (f"its {len(own)} runs together", *(f"{mean[c]:.3f}" for c in columns), "")
            )
    for name, (auc, accuracy) in PUBLISHED.items():
        lines.append((f"*published: {name}*", f"{auc:.3f}", f"{accuracy:.3f}", "", "", "", ""))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def spread(values: Sequence[float]) -> str:
    mean = f"{statistics.mean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def note(found: Mapping[str, Any]) -> str:
    """When and where it was measured, and how busy the machine was meanwhile."""
    runs = found["runs"]
    machine, timed = runs[0]["machine"], [r for r in runs if "load" in r]
    dates = " to ".join(sorted({r["date"] for r in runs}))
    commits = ", ".join(dict.fromkeys(r["commit"] for r in runs))
    busy = f", load {statistics.median(r['load'] for r in timed):.1f}" if timed else ""
    return f"{machine['processor']}, {machine['cores']} cores{busy}; {dates}, commit {commits}."


def write(page: Path, text: str) -> None:
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"--docs: {page} has no place for the table: {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "python -m bench.pneumonia", description=__doc__.split("\n")[0]
    )
    add = parser.add_argument
    add("data", type=Path, nargs="?", help="pneumoniamnist.npz; without it nothing is trained")
    add(
        "--only",
        nargs="+",
        choices=TITLES,
        default=list(TITLES),
        metavar="NAME",
        help=f"of {', '.join(TITLES)}",
    )
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add(
        "--runs", type=Path, default=ROOT / "runs" / "pneumonia", help="where the runs' folders are"
    )
    add("--docs", action="store_true", help="write the table into docs/results.md")
    given = parser.parse_args(words)
    if given.data:
        given.runs.mkdir(parents=True, exist_ok=True)
        for seed in given.seeds:
            for name in given.only:
                train(name, seed, given.data.resolve(), given.runs.resolve())
        found = collected(given.runs)
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    else:
        found = json.loads(RESULTS.read_text("utf-8"))
    text = f"{table(found)}\n\n{note(found)}"
    print(text)
    if given.docs:
        write(PAGE, text)


if __name__ == "__main__":
    main()
