"""Accuracies of training runs on CuPy beside NumPy's, and runs that go from one to the other.

    python -m bench.cuda.accuracy FOLDER    trains on NumPy alone, and keeps that for all others

A recipe is what ``tensorgraph train`` is told, the same on both backends, with three seeds. FOLDER
holds mnist/ and pneumoniamnist.npz. NumPy's runs are read from bench/results/accuracy.json where
that has the same recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph_cli import main as command

import tensorgraph as tg
from bench.cuda.process import ROOT, Row
from bench.cuda.results import commit
from bench.cuda.setting import Setting

KEPT = ROOT / "bench" / "results" / "accuracy.json"
SEEDS = (0, 1, 2)
NEAR = 0.1  # relatively: rounding is another on another backend, and grows from step to step
ROOM = 10.0  # seconds that have to be left for another run


class Recipe(NamedTuple):
    """What is trained; ``data`` is in the folder of the data, or a dataset that comes along."""

    title: str
    data: str
    model: str
    epochs: int

    def key(self) -> list[Any]:
        return [*self]

    def words(self, folder: Path | None) -> list[str]:
        data = str(folder / self.data) if folder else self.data
        return ["--data", data, "--model", self.model, "--epochs", str(self.epochs)]


RECIPES = (
    Recipe("MNIST", "mnist", "lenet5", 3),
    Recipe("PneumoniaMNIST", "pneumoniamnist.npz", "simple_cnn", 10),
)
REHEARSED = Recipe("digits", "digits", "mlp", 2)


class Stops:
    """A callback that ends a run, as Ctrl-C would, after the first batch of an epoch."""

    armed = False

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch(self, run: Any) -> None:
        if Stops.armed and run.progress.epoch == self.epoch:
            raise KeyboardInterrupt


class Plugin:
    @staticmethod
    @tg.hookimpl
    def register_callbacks(register: Callable[[str, Any], None]) -> None:
        register("bench_stops", Stops)


def run(setting: Setting, note: Callable[[Row], None]) -> None:
    """CuPy's runs, those that change the backend, and NumPy's where none are kept."""
    setting.backend()
    rehearsal = setting.emulated or setting.small
    if setting.data is None and not rehearsal:
        note({"left_out": "accuracies: no folder with the images was given"})
        return
    folder = None if rehearsal else setting.data
    recipes = (REHEARSED,) if rehearsal else RECIPES
    seeds = SEEDS[:1] if rehearsal else SEEDS
    found: dict[Recipe, dict[str, list[Row]]] = {}

    def several(recipe: Recipe, backend: str) -> list[Row]:
        """Runs of different seeds, as many as there is time for."""
        rows: list[Row] = []
        for seed in seeds:
            if setting.left() < max((row["seconds"] for row in rows), default=ROOM):
                note({"left_out": f"{recipe.title} on {backend}, run {seed}: no time was left"})
                break
            rows.append(trained(recipe, folder, backend, seed))
            note(rows[-1])
        return rows

    for recipe in recipes:
        own = found[recipe] = {"cupy": several(recipe, "cupy"), "numpy": kept(recipe)}
        if all(own.values()):
            note(compared(recipe, own))
    for start, then in (("cupy", "numpy"), ("numpy", "cupy")):
        if setting.left() < ROOM:
            note({"left_out": f"a run that goes from {start} to {then}: no time was left"})
        else:
            note(changed(recipes[-1], folder, start, then, found[recipes[-1]]["cupy"]))
    for recipe, own in found.items():
        if not own["numpy"]:
            own["numpy"] = several(recipe, "numpy")
            if all(own.values()):
                note(compared(recipe, own))


def trained(recipe: Recipe, folder: Path | None, backend: str, seed: int) -> Row:
    """A run as a user starts it."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        train(*recipe.words(folder), "--backend", backend, "--seed", str(seed), "--out", out)
        row = {"trained": recipe.title, "recipe": recipe.key(), "backend": backend, "run": seed}
        return {**row, **figures(Path(out)), "seconds": time.perf_counter() - start}


def changed(
    recipe: Recipe, folder: Path | None, start: str, then: str, whole: Sequence[Row]
) -> Row:
    """A run that is ended halfway on one backend and goes on on the other, beside the run of the
    same seed that CuPy did alone."""
    half = recipe.epochs // 2
    calls = f"train.callbacks=['history', {{name = 'bench_stops', epoch = {half}}}]"
    with tempfile.TemporaryDirectory() as out:
        words = [*recipe.words(folder), "--backend", start, "--seed", "0", "--set", calls]
        with stopping():
            train(*words, "--out", out, status=130)
        train("--resume", "--backend", then, "--out", out)
        row: Row = {"resumed": f"{recipe.title}, from {start} to {then}", "epoch": half}
        row |= figures(Path(out))
    if whole:
        alone = next(r for r in whole if r["run"] == 0)
        row |= {"alone": alone["accuracy"], "alone_losses": alone["losses"]}
        row["off"] = abs(row["losses"][half] / alone["losses"][half] - 1)
        claim = f"the next epoch's loss within {NEAR:.0%} of a run on CuPy alone"
        row |= {"verdict": row["resumed"], "claim": claim, "reached": row["off"] <= NEAR}
    return row


@contextlib.contextmanager
def stopping() -> Iterator[None]:
    if "bench_stops" not in tg.callbacks:
        tg.plugins.register(Plugin, "bench-stops")
    Stops.armed = True
    try:
        yield
    finally:
        Stops.armed = False


def train(*words: str, status: int = 0) -> None:
    found = command(["train", *words])
    if found != status:
        raise RuntimeError(f"tensorgraph train {' '.join(words)}: status {found}, not {status}")


def figures(out: Path) -> Row:
    """The accuracy on the test images, and the loss of each epoch."""
    metrics = json.loads((out / "evaluation.json").read_text("utf-8"))["metrics"]
    epochs = [json.loads(x) for x in (out / "history.jsonl").read_text("utf-8").splitlines()]
    return {"accuracy": metrics["accuracy"]["value"], "losses": [e["loss"] for e in epochs]}


def compared(recipe: Recipe, own: dict[str, list[Row]]) -> Row:
    """Whether the mean accuracies are as near each other as those of different seeds are."""
    values = {backend: [row["accuracy"] for row in rows] for backend, rows in own.items()}
    spread = max(max(v) - min(v) for v in values.values())
    apart = abs(statistics.mean(values["cupy"]) - statistics.mean(values["numpy"]))
    claim = f"mean accuracies {apart:.4f} apart, those of seeds {spread:.4f}"
    row: Row = {"verdict": f"{recipe.title}, {recipe.model}", "claim": claim}
    row |= {"accuracies": values, "numpy_of": own["numpy"][0].get("of", "this run")}
    return {**row, "reached": apart <= spread}


def kept(recipe: Recipe) -> list[Row]:
    """NumPy's runs of this recipe, where there are any."""
    rows = json.loads(KEPT.read_text("utf-8"))["runs"] if KEPT.exists() else []
    return [row for row in rows if row["recipe"] == recipe.key()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with mnist/ and pneumoniamnist.npz")
    given = parser.parse_args()
    of = f"{datetime.datetime.now(datetime.UTC).date()}, commit {str(commit()['commit'])[:7]}"
    rows = [
        {**trained(recipe, given.folder.resolve(), "numpy", seed), "of": of}
        for recipe in RECIPES
        for seed in SEEDS
    ]
    KEPT.write_text(json.dumps({"runs": rows, **tg.plugins.walk("machine")}, indent=1) + "\n")


if __name__ == "__main__":
    main()
