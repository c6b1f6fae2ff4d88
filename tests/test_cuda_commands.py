"""The commands with ``backend = "cupy"`` on the emulated device: precision by run file in this
process, and, slowly, commands as processes of their own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import emulated
import numpy as np
import pytest
import test_resume
from emulated_device import available
from PIL import Image
from training_help import archive, command

pytestmark = pytest.mark.skipif(not available(), reason="g++ is not installed")
RUN = """
[data]
path = "data.npz"
[model]
name = "normed"
[train]
epochs = 1
batch_size = 10
precision = "bfloat16"
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive("data.npz")
    Path("run.toml").write_text(RUN)


@pytest.fixture
def device():
    with emulated.in_place() as backend:
        yield backend


def test_precision_is_chosen_by_the_run_file_and_holds_for_evaluation(device, monkeypatch, capsys):
    assert command("train", "run.toml", "--backend", "cupy", "--out", "out") == 0
    assert ", bfloat16 precision\n" in capsys.readouterr().out
    assert 'precision = "bfloat16"' in Path("out/run.toml").read_text()
    found = []
    for chosen in ("", "float32"):  # the environment goes before the file
        monkeypatch.setenv("TENSORGRAPH_PRECISION", chosen)
        assert command("evaluate", "out", "--backend", "cupy", "--json") == 0
        metrics = json.loads(capsys.readouterr().out)["metrics"]
        found.append(metrics["brier"]["value"])
    rounded, exact = found
    assert rounded != exact and rounded == pytest.approx(exact, rel=0.02)
    stored = json.loads(Path("out/evaluation.json").read_text())["metrics"]["brier"]["value"]
    assert stored in found


def test_numpy_says_that_it_rounds_nothing(capsys):
    assert command("train", "run.toml", "--out", "out") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "bfloat16 precision (as default: numpy rounds no factors)" in said


def test_a_precision_that_there_is_not(said):
    Path("run.toml").write_text(RUN.replace("bfloat16", "fp16"))
    error = said("train", "run.toml")
    assert "precision 'fp16' (from train.precision in run.toml) is not one of default, " in error
    assert "strict, float32, tf32, bfloat16" in error


def tensorgraph(*arguments):
    """The command in a process of its own; what it printed."""
    given = [sys.executable, emulated.__file__, *map(str, arguments)]
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_commands_one_after_the_other(monkeypatch):
    """What a model trained on the device says of images, there and on NumPy, is the same."""
    monkeypatch.setenv("TENSORGRAPH_BACKEND", "cupy")
    chosen = ["--set", "train.precision=default", "--set", 'train.augment=["rotate"]']
    callbacks = "train.callbacks=['history', 'progress', 'weight_average', 'mean_teacher']"
    chosen += ["--epochs", "4", "--set", "train.clip_norm=1", "--set", callbacks]
    shown = tensorgraph("train", "run.toml", "--out", "out", *chosen)
    assert "cupy (chosen by the environment variable TENSORGRAPH_BACKEND)" in shown
    with np.load("data.npz") as held:
        Image.fromarray(held["test_images"][0]).save("image.png")
    found = {}
    for backend in ("cupy", "numpy"):
        monkeypatch.setenv("TENSORGRAPH_BACKEND", backend)
        tensorgraph("evaluate", "out", "--views", "2")
        said = json.loads(tensorgraph("predict", "out", "image.png", "--json"))
        found[backend] = json.dumps(said), json.loads(Path("out/evaluation.json").read_text())
        tensorgraph("explain", "out", "image.png", "--out", f"explained-{backend}")
    monkeypatch.setenv("TENSORGRAPH_BACKEND", "cupy")
    tensorgraph("train", "run.toml", "--out", "frozen", "--set", "transfer.freeze=body",
                "--set", "transfer.weights=out/model.safetensors")  # fmt: skip
    tensorgraph("draw", "out", "--out", "plan.svg")
    assert "kernels" in tensorgraph("check", "cupy", "--backend", "cupy")
    ours, theirs = (found[name][1]["metrics"] for name in ("cupy", "numpy"))
    for name, row in theirs.items():
        if row["value"] is not None:
            assert ours[name]["value"] == pytest.approx(row["value"], abs=1e-4), name


@pytest.mark.slow
def test_ctrl_c_and_kill_9(monkeypatch):
    command_line = [sys.executable, emulated.__file__, "train", "--backend", "cupy"]
    monkeypatch.setattr(test_resume, "TRAIN", command_line)
    test_resume.trained(*test_resume.OPTIONS, "--out", "whole")
    want = test_resume.weights("whole")
    for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        out = f"stopped-{int(number)}"
        assert test_resume.interrupted(out, number)[0] == status
        test_resume.trained("--resume", "--out", out)
        assert test_resume.weights(out) == want
