"""What each way of learning from few labels gains on PneumoniaMNIST, with 1, 5 and 20 % of them.

    python bench/few_labels.py PNEUMONIAMNIST.npz [--write]

Every run trains small_cnn for as many steps, without validation: its labels are as unknown as the
others, so nothing is chosen by them, the last weights are kept and the threshold is 0.5. A seed
draws which images have a label and all else. Runs that are in the folder already are not made anew.
``--split val`` judges on validation: by that the options of the methods were chosen. ``--write``
puts the table into docs/few-labels.md.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import time
from pathlib import Path

import numpy as np
from scipy import stats
from tensorgraph_cli import main as tensorgraph

import tensorgraph as tg

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "bench" / "results" / "few-labels.json", ROOT / "docs" / "few-labels.md"
BEGIN, END = "<!-- few labels: begin -->", "<!-- few labels: end -->"
SEEDS = {0.01: 3, 0.05: 6, 0.2: 3}  # how many, for each share of the labels
IMAGES, EPOCHS = 1024, 20
MODEL = {"name": "small_cnn", "filters": [16, 32]}
GEOMETRY = [{"name": "rotate"}, {"name": "translate"}, {"name": "scale"}]  # and their defaults
TEACHER = {"name": "mean_teacher", "weight": 1.0, "decay": 0.95}


class Bench:
    """Runs of one data set, each in a folder of its own."""

    def __init__(self, data, folder):
        self.data, self.folder = data, folder
        self.dataset, _ = tg.plugins.walk("dataset", str(data))
        self.truth = {p: self.dataset.labels[i] for p, i in self.dataset.splits.items()}

    def done(self, name, seed):
        """The folder of a run that was made before."""
        out = self.folder / f"{name}-{seed}"
        return out if (out / "evaluation.json").exists() else None

    def run(self, name, seed, callbacks, **changes):
        """Train, unless it was done; the run's folder."""
        if found := self.done(name, seed):
            return found
        out = self.folder / f"{name}-{seed}"
        train = {"epochs": EPOCHS, "seed": seed, "callbacks": ["history", *callbacks]}
        table = {
            "data": {"path": str(self.data)},
            "model": changes.pop("model", MODEL),
            "train": train | changes.pop("train", {}),
            **changes,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        file, notes = (self.folder / f"{out.name}.{kind}" for kind in ("toml", "log"))
        resume = ["--resume"] * (out / "run.toml").exists()
        file.write_text(tg.plugins.walk("toml", table), "utf-8")
        start = time.perf_counter()
        with notes.open("w") as log, contextlib.redirect_stdout(log):
            status = tensorgraph(["train", str(file), "--out", str(out), *resume])
        if status:
            raise SystemExit(f"{name}, seed {seed}: stopped with status {status}")
        print(f"{out.name:44} {time.perf_counter() - start:6.1f} s", flush=True)
        return out

    def scores(self, folder, part):
        """P(pneumonia) of a part's images."""
        found = folder / f"{part}.npy"
        if not found.exists():
            trained = tg.plugins.walk("trained", folder)
            np.save(found, trained.probabilities(self.dataset.splits[part])[:, 1])
        return np.load(found)

    def listed(self, name, rows):
        """A labelling list, filled in."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["path", "label"])
            classes = self.dataset.classes
            table.writerows((self.dataset.names[i], classes[label]) for i, label in rows)
        return str(path)


def few(share, seed, **more):
    return {"name": "few_labels", "share": share, "seed": seed, "val": 0.0, "images": IMAGES} | more


def plain(bench, share, seed, name, *callbacks, **changes):
    return bench.run(f"{name}-{share}", seed, [few(share, seed), *callbacks], **changes)


def supervised(bench, share, seed):
    return plain(bench, share, seed, "supervised")


def label_smoothing(bench, share, seed):
    loss = {"name": "cross_entropy", "label_smoothing": 0.1}
    return plain(bench, share, seed, "smoothing", train={"loss": loss})


def weight_average(bench, share, seed):
    return plain(bench, share, seed, "average", {"name": "weight_average", "start": 0.5})


def augmentation(bench, share, seed):
    return plain(bench, share, seed, "augmented", train={"augment": GEOMETRY})


def pseudo_labels(bench, share, seed):
    pseudo = {"name": "pseudo_labels", "start": 5, "threshold": 0.9}
    return plain(bench, share, seed, "pseudo", pseudo)


def mean_teacher(bench, share, seed):
    return plain(bench, share, seed, "teacher", TEACHER)


def augmented_teacher(bench, share, seed):
    train = {"augment": GEOMETRY}
    return plain(bench, share, seed, "augmented-teacher", TEACHER, train=train)


def autoencoder(bench, seed):
    """Trained on all training images; of it the others take only what it has of no label."""
    model = {"name": "autoencoder", "model": MODEL["name"], "options": {"filters": [16, 32]}}
    callbacks = [few(0.01, seed), {"name": "reconstruction", "noise": 0.5}]
    return bench.run("autoencoder", seed, callbacks, model=model)


def pretrained(bench, share, seed):
    weights = str(autoencoder(bench, seed) / "encoder.safetensors")
    return plain(bench, share, seed, "pretrained", transfer={"weights": weights})


def probe(bench, share, seed):
    weights = str(autoencoder(bench, seed) / "encoder.safetensors")
    moved = {"weights": weights, "freeze": "body"}
    return plain(bench, share, seed, "probe", transfer=moved)


def picked(by):
    """Half of the labels at random, the other half as the model of these asks for."""

    def method(bench, share, seed):
        from tensorgraph_labelling import pool

        if found := bench.done(f"{by}-{share}", seed):
            return found
        labels, train = bench.dataset.labels, np.asarray(bench.dataset.splits["train"])
        begun = plain(bench, share / 2, seed, "begun")
        known = pool.kept(train, labels, share / 2, seed)
        budget = len(pool.kept(train, labels, share, seed)) - len(known)
        left = np.setdiff1d(train, known)
        model = tg.plugins.walk("trained", begun)
        p, features = model.probabilities(left), model.features(left)
        chosen = left[tg.plugins.walk("pick", by, p, features, budget, seed)]
        every = np.concatenate([known, chosen])
        file = bench.listed(f"{by}-{share}-{seed}", zip(every, labels[every], strict=True))
        return bench.run(f"{by}-{share}", seed, [few(share, seed, listed=file)])

    return method


def clustered(bench, share, seed):
    """As many groups of the autoencoder's features as labels: one image of each is labelled, and
    the others take its label."""
    from tensorgraph_labelling import clusters, pool

    if found := bench.done(f"clusters-{share}", seed):
        return found
    labels, train = bench.dataset.labels, np.asarray(bench.dataset.splits["train"])
    k = len(pool.kept(train, labels, share, seed))
    model = tg.plugins.walk("trained", autoencoder(bench, seed))
    x = tg.plugins.walk("principal", model.features(train), 32)
    centres, nearest = tg.plugins.walk("k_means", x, k, seed)
    middle = clusters.distances(x, centres).argmin(0)
    rows = zip(train, labels[train[middle]][nearest], strict=True)
    file = bench.listed(f"clusters-{share}-{seed}", rows)
    return bench.run(f"clusters-{share}", seed, [few(share, seed, listed=file, images=IMAGES)])


SUPERVISED, AUGMENTED, RANDOM = "supervised alone", "augmentation", "asked at random"
METHODS = {  # name → what trains, and what it is compared with
    SUPERVISED: (supervised, None),
    "label smoothing 0.1": (label_smoothing, SUPERVISED),
    "weight average": (weight_average, SUPERVISED),
    "pseudo-labels": (pseudo_labels, SUPERVISED),
    "mean teacher": (mean_teacher, SUPERVISED),
    AUGMENTED: (augmentation, SUPERVISED),
    "mean teacher, augmentation": (augmented_teacher, AUGMENTED),
    "autoencoder, fine-tuned": (pretrained, SUPERVISED),
    "autoencoder, frozen": (probe, SUPERVISED),
    "k-means, a label each": (clustered, SUPERVISED),
    RANDOM: (picked("random"), None),
    "asked by entropy or margin": (picked("entropy"), RANDOM),  # the same for two classes
    "asked diverse": (picked("diverse"), RANDOM),
}


def above(scores, truth):
    """Of each pair of a positive and a negative image (P, N) whether the positive is above."""
    difference = scores[truth == 1][:, None] - scores[truth == 0]
    return (difference > 0) + 0.5 * (difference == 0)


def by_images(first, second, truth):
    """The interval of the difference of two AUCs, each the mean of some seeds, if other test images
    had been drawn: 2,000 resamples of each class."""
    change = np.mean([above(s, truth) for s in second], 0)
    change -= np.mean([above(s, truth) for s in first], 0)
    generator = np.random.default_rng(0)
    drawn = [generator.multinomial(n, np.full(n, 1 / n), 2000) / n for n in change.shape]
    return np.percentile(((drawn[0] @ change) * drawn[1]).sum(1), [2.5, 97.5]).tolist()


def row(found, name, share, truth):
    """The figures of a method over its seeds, and the difference from its comparison."""
    own = found[name, share]
    aucs = np.array([above(s, truth).mean() for s in own])
    right = np.array([((s >= 0.5) == truth).mean() for s in own])
    figures = {"share": share, "method": name, "auc": aucs.tolist(), "accuracy": right.tolist()}
    than = METHODS[name][1]
    if than is not None:
        change = aucs - [above(s, truth).mean() for s in found[than, share]]
        n = len(change)
        half = stats.t.ppf(0.975, n - 1) * change.std(ddof=1) / n**0.5
        figures |= {
            "than": than,
            "difference": float(change.mean()),
            "by_seeds": [float(change.mean() - half), float(change.mean() + half)],
            "by_images": by_images(found[than, share], own, truth),
        }
    return figures


def table(rows):
    lines = [
        "| labels | method | AUC | accuracy at 0.5 | AUC more than | over seeds | over images |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        figures = [f"{np.mean(r[k]):.3f} ± {np.std(r[k], ddof=1):.3f}" for k in ("auc", "accuracy")]
        change = ["", "", ""]
        if "than" in r:
            mark = "**" * all(low > 0 for low, _ in (r["by_seeds"], r["by_images"]))
            change = [f"{r['than']}: {mark}{r['difference']:+.3f}{mark}"]
            change += [f"{low:+.3f} … {high:+.3f}" for low, high in (r["by_seeds"], r["by_images"])]
        cells = [f"{r['share']:.0%}", r["method"], *figures, *change]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write(text):
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/few-labels"))
    parser.add_argument("--split", choices=["val", "test"], default="test")
    parser.add_argument("--shares", type=float, nargs="+", default=[*SEEDS])
    parser.add_argument("--seeds", type=int, nargs="+", help="others than the first ones")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    given = parser.parse_args()
    os.environ.setdefault("TENSORGRAPH_DISABLE_PLUGINS", "audit")  # the same images in every run
    bench, found = Bench(given.data.resolve(), given.out.resolve()), {}
    for share in given.shares:
        seeds = given.seeds or range(SEEDS[share])
        for name in given.methods:
            folders = [METHODS[name][0](bench, share, seed) for seed in seeds]
            found[name, share] = [bench.scores(folder, given.split) for folder in folders]
    rows = [row(found, name, share, bench.truth[given.split]) for name, share in found]
    print(table(rows))
    if given.write:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps({"split": given.split, "rows": rows}, indent=1) + "\n")
        write(table(rows))


if __name__ == "__main__":
    main()
