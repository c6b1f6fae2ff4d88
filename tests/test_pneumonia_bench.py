"""The table of PneumoniaMNIST: its run files are sound, its figures those of scikit-learn."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from tensorgraph_train import augment, parts, runfile

import tensorgraph as tg
from bench.pneumonia import __main__ as command

FOLDER = Path(command.__file__).parent


@pytest.fixture
def runs(tmp_path):
    """Three folders with made-up predictions."""
    rng, folders = np.random.default_rng(0), []
    labels = {"val": rng.integers(0, 2, 60), "test": rng.integers(0, 2, 80)}
    for seed in range(3):
        folders.append(tmp_path / f"small_cnn-{seed}")
        folders[-1].mkdir()
        with (folders[-1] / "predictions.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "split", "group", "label", *command.CLASSES])
            for split, own in labels.items():
                for y in own:
                    p = 1 / (1 + np.exp(-rng.normal(2 * y - 1, 1.5)))
                    rows.writerow(["", split, "", command.CLASSES[y], 1 - p, p])
    return folders


def test_every_title_is_a_run_file_that_can_be_read():
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(command.TITLES)
    for path in FOLDER.glob("*.toml"):
        found = runfile.settings(runfile.read(path), {}, path.name)
        assert found.evaluate.threshold == command.RULE
        parts.resolve(tg.models, "model", found.model, first=1)
        assert all(map(augment.resolve, found.train.augment))


def test_what_runs_say_together(runs):
    metrics = pytest.importorskip("sklearn.metrics")
    found = command.together(runs)
    parts = [command.predictions(folder) for folder in runs]
    truth = parts[0]["test"][1]
    mean = {s: np.mean([part[s][0][:, 1] for part in parts], 0) for s in ("val", "test")}
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(truth, mean["test"]), abs=1e-12)
    ill = np.sort(mean["val"][parts[0]["val"][1] == 1])
    lowest = ill[len(ill) - int(np.ceil(0.95 * len(ill)))]  # the last of 95 % of the ill
    below = mean["val"][mean["val"] < lowest].max()
    said = mean["test"] >= (lowest + below) / 2
    assert found["sensitivity"] == pytest.approx(metrics.recall_score(truth, said), abs=0.03)
    assert found["accuracy at the threshold"] == pytest.approx((said == truth).mean(), abs=0.03)


def test_the_table(runs, tmp_path, monkeypatch, capsys):
    """From runs that are there already to the page; nothing is trained."""
    machine = {"machine": {"processor": "P", "cores": 2}, "date": "2026-01-01", "commit": "c"}
    for seed, folder in enumerate(runs):
        value = {k: {"value": 0.9 + seed / 100} for k in ("accuracy", "sensitivity", "specificity")}
        metrics = value | {"auc": {"value": 0.95 + seed / 100}}
        evaluation = {"metrics": metrics, "at_threshold": value}
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
        took = machine | ({"seconds": 10.0 * seed, "processor": 7.0, "load": 1.0} if seed else {})
        (folder / "took.json").write_text(json.dumps(took))
    page, results = tmp_path / "page.md", tmp_path / "results.json"
    page.write_text(f"before\n{command.BEGIN}\nstale\n{command.END}\nafter\n")
    monkeypatch.setattr(command, "PAGE", page)
    monkeypatch.setattr(command, "RESULTS", results)
    command.main(["no.npz", "--only", "small_cnn", "--runs", str(tmp_path), "--docs"])
    first = page.read_text()
    assert "| small CNN | 0.960 ± 0.010 | 0.910 ± 0.010 |" in first
    assert "| 15 / 7 |" in first and "its 3 runs together" in first
    assert "P, 2 cores, load 1.0; 2026-01-01, commit c." in first
    assert "stale" not in first and first.startswith("before") and first.endswith("after\n")
    command.main(["--docs"])
    assert page.read_text() == first
    page.write_text("no place")
    with pytest.raises(SystemExit, match="has no place for the table"):
        command.main(["--docs"])
