"""Compares training and inference with PyTorch, JAX, HIPS autograd and MyGrad on this machine.

    python -m bench.compare [--workloads NAME…] [--peers NAME…] [--mode train|infer|epoch|all]
                            [--rounds 5] [--data FOLDER] [--json FILE] [--docs]

docs/comparison.md says how. The machine should do nothing else meanwhile: PyTorch above all is slow
where its threads have to wait for a processor.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.compare import drawn, driver, figures, footprint, report
from bench.compare.driver import Plan
from bench.compare.machine import machine
from bench.compare.process import ROOT
from bench.compare.variants import VARIANTS, Variant, choose
from bench.compare.workloads import WORKLOADS

MODES = {m: (m,) for m in ("train", "infer", "epoch")} | {"all": ("train", "infer", "epoch")}
PAGE = ROOT / "docs" / "comparison.md"


def positive(kind: Any) -> Any:
    def convert(text: str) -> Any:
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    convert.__name__ = f"positive {'whole number' if kind is int else 'number'}"
    return convert


def workload(text: str) -> str:
    try:
        drawn.workload(text)
    except KeyError:
        known = f"{', '.join(WORKLOADS)}, and random-SEED"
        raise argparse.ArgumentTypeError(f"{text!r} is no workload; there are {known}") from None
    return text


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser("python -m bench.compare", description=__doc__.split("\n")[0])
    add = made.add_argument
    add("--workloads", nargs="+", type=workload, default=list(WORKLOADS), metavar="NAME",
        help=f"of {', '.join(WORKLOADS)}, all of them by default; or random-SEED, a network drawn "
        "at random")  # fmt: skip
    add("--peers", nargs="+", default=[], metavar="NAME",
        help=f"families or variants, of {', '.join(v.name for v in VARIANTS)}; all by default",
    )  # fmt: skip
    add("--rounds", type=positive(int), default=5, help="every library has a turn in each")
    add("--mode", choices=MODES, default="all")
    add("--data", type=Path, metavar="FOLDER", help="with MNIST's files, for whole epochs")
    add("--seconds", type=positive(float), default=1.0, help="that a turn lasts (1)")
    add("--threads", type=positive(int), default=driver.cores(),
        help="of every library; all processors by default")  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write every figure to this file")
    add("--docs", nargs="?", type=Path, const=PAGE, metavar="PAGE",
        help="write the tables into docs/comparison.md, or another page")  # fmt: skip
    add("--results", nargs="+", type=Path, metavar="FILE",
        help="measure nothing: show what --json wrote")  # fmt: skip
    return made


def measured(given: argparse.Namespace, chosen: Sequence[Variant], folder: Path) -> dict[str, Any]:
    """Run the comparison; what is found so far is in the JSON file whenever it is interrupted."""
    data: dict[str, Any] = {
        "machine": machine(given.threads),
        "rounds": given.rounds,
        "libraries": footprint.footprints(chosen, given.rounds, given.threads, say),
        "results": [],
    }
    images = None
    if given.data and "epoch" in MODES[given.mode]:
        images = str(folder / "images.npz")
        driver.save_images(given.data, images)
    modes = [mode for mode in MODES[given.mode] if images or mode != "epoch"]
    if "epoch" in MODES[given.mode] and not images:
        say("no epochs: they need --data FOLDER")
    plan = Plan(chosen, given.rounds, given.seconds, given.threads, caches=folder / "c", say=say)
    for measurement in driver.measurements(plan, given.workloads, modes, images):
        say(f"--- {' '.join(report.label(measurement.result))}")
        data["results"].append(measurement.run())
        save(given.json, data)
    return data


def save(path: Path | None, data: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(data, indent=1), "utf-8")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def joined(paths: Sequence[Path]) -> dict[str, Any]:
    """What several files hold; they must be of one machine. Raises ``ValueError``."""
    data: dict[str, Any] = {}
    for path in paths:
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise ValueError(f"--results: {path}: {error}") from None
        data = data or {**found, "libraries": {}, "results": []}
        for key in ("machine", "rounds"):
            if found[key] != data[key]:
                raise ValueError(
                    f"--results: {path} is of another {key} than {paths[0]}: {found[key]} and "
                    f"{data[key]}; show them one at a time"
                )
        data["libraries"] |= found["libraries"]
        data["results"] += found["results"]
    return data


def problems(data: dict[str, Any]) -> list[str]:
    """What makes this run a failure: a library that broke, or results that do not agree."""
    found = []
    for result in data["results"]:
        where = " ".join(report.label(result))
        for name, entry in result["variants"].items():
            if "failed" in entry:
                found.append(f"{where}: {name} failed: {entry['failed']}")
        for name, by in figures.disagreeing(result).items():
            found.append(f"{where}: {name} computes something else: {by:.1f} times what is allowed")
    return found


def main(words: Sequence[str] | None = None) -> int:
    options = parser()
    given = options.parse_args(words)
    try:
        chosen = choose(given.peers)
        if given.mode == "epoch" and not (given.data or given.results):
            raise ValueError("--mode epoch: say where MNIST's files are, with --data FOLDER")
        if given.data and not given.data.is_dir():
            raise ValueError(f"--data: {given.data} is no folder; give one with MNIST's IDX files")
        if given.docs:
            report.parts(given.docs)
        if given.threads > driver.cores():
            raise ValueError(f"--threads {given.threads}: there are {driver.cores()} processors")
        data = joined(given.results) if given.results else None
    except ValueError as error:
        options.error(str(error))
    if data is None:
        with tempfile.TemporaryDirectory() as folder:
            data = measured(given, chosen, Path(folder))
    wide = None if sys.stdout.isatty() else 160
    report.show(Console(width=wide), data, chosen)
    if given.docs:
        report.write_docs(given.docs, report.markdown(data, chosen))
    found = problems(data)
    for problem in found:
        say(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
