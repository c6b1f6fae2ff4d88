"""What the project promises of its training runs, on real data: slow, so not in the plain suite."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from doc_blocks import blocks

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
MNIST, PNEUMONIA = DATA / "mnist", DATA / "pneumoniamnist.npz"

pytestmark = pytest.mark.slow


def trained(folder, *arguments):
    command = [sys.executable, "-m", "tensorgraph_cli", "train", "--out", str(folder), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder.parent)
    return json.loads((folder / "evaluation.json").read_text())["metrics"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits(tmp_path, seed):
    start = time.perf_counter()
    metrics = trained(tmp_path / "run", "--seed", str(seed))
    assert metrics["accuracy"]["value"] >= 0.975
    assert time.perf_counter() - start <= 40, "twice what is promised of a quiet machine"


@pytest.mark.skipif(not MNIST.is_dir(), reason=f"{MNIST} is not here")
def test_mnist_with_lenet5(tmp_path):
    run = ["--data", str(MNIST), "--model", "lenet5", "--epochs", "3"]
    assert trained(tmp_path / "run", *run)["accuracy"]["value"] >= 0.985


@pytest.mark.skipif(not PNEUMONIA.is_file(), reason=f"{PNEUMONIA} is not here")
def test_pneumoniamnist_with_the_defaults(tmp_path, monkeypatch):
    """The mean of three seeds, the threshold being chosen on validation."""
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or a seed would not fix the figures
    areas, accuracies = [], []
    for seed in range(3):
        run = tmp_path / str(seed)
        metrics = trained(run, "--data", str(PNEUMONIA), "--seed", str(seed))
        areas.append(metrics["auc"]["value"])
        evaluation = json.loads((run / "evaluation.json").read_text())
        assert evaluation["threshold"]["chosen_on"] == "val"
        accuracies.append(evaluation["at_threshold"]["accuracy"]["value"])
    assert sum(areas) / 3 >= 0.95
    assert sum(accuracies) / 3 >= 0.86


@pytest.mark.skipif(not PNEUMONIA.is_file(), reason=f"{PNEUMONIA} is not here")
def test_pneumoniamnist_augmented(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    recipe = ROOT / "bench" / "pneumonia" / "small_cnn_augmented.toml"
    metrics = trained(tmp_path / "run", str(recipe), "--data", str(PNEUMONIA))
    assert metrics["auc"]["value"] >= 0.97
    evaluation = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert evaluation["at_threshold"]["accuracy"]["value"] >= 0.89


@pytest.mark.skipif(not (ROOT / "tensorgraph").is_dir(), reason="the sources are not here")
def test_the_first_command_of_the_readme(tmp_path):
    """On a copy of the tree, with a virtual environment of its own: what a stranger does."""
    unwanted = shutil.ignore_patterns(".venv", ".git", "runs", "__pycache__")
    tree = Path(shutil.copytree(ROOT, tmp_path / "tree", ignore=unwanted))
    command = blocks(tree / "README.md", "sh")[0].code
    done = subprocess.run(["bash", "-c", command], cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tree / "runs").iterdir()
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["metrics"]["accuracy"]["value"] >= 0.975
    epochs = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert sum(epoch["seconds"] for epoch in epochs) <= 20
