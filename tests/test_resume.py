"""Runs in processes of their own: the same bytes twice, after kill -9, and after Ctrl-C."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import training_help
from tensorgraph_train import storage

TRAIN = [sys.executable, training_help.__file__, "train"]
OPTIONS = ["--model", "small", "--epochs", "3", "--set", "model.rate=0.5", "--seed", "7"]
WAITS = ["--set", "train.checkpoint_every=0", "--set", "train.callbacks=['history', 'waits']"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run


def trained(*arguments, status=0):
    found = subprocess.run([*TRAIN, *arguments], capture_output=True, text=True, check=False)
    assert found.returncode == status, found.stderr
    return found


def weights(out):
    return Path(out, "model.safetensors").read_bytes()


def interrupted(out, number):
    """Start a run that waits in the middle of the second epoch, and send it a signal there."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    # where the tests run in the background, Ctrl-C is ignored, and children would inherit that
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes["env"] = {**os.environ, "WAIT_FOR_SIGNAL": "1"}
    process = subprocess.Popen([*TRAIN, *OPTIONS, *WAITS, "--out", out], preexec_fn=heed, **pipes)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        at = position(out)
        if at is not None and at["epoch"] == 1 and at["batch"] >= 3:
            break
        time.sleep(0.01)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    at = position(out)
    assert at["epoch"] == 1
    assert 0 < at["batch"] < 20, "it was stopped in the middle of an epoch"
    return process.returncode, error


def position(out):
    path = Path(out, "checkpoint.safetensors")
    return storage.load_tensors(path)[1]["progress"] if path.exists() else None


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The weights of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    trained(*OPTIONS, "--out", str(out))
    return weights(out)


def test_the_same_seed_gives_the_same_bytes(whole):
    trained(*OPTIONS, "--out", "again")
    assert weights("again") == whole
    trained(*OPTIONS, "--seed", "8", "--out", "other")
    assert weights("other") != whole


def test_kill_9_in_the_middle_of_an_epoch(whole):
    status, _ = interrupted("out", signal.SIGKILL)
    assert status == -signal.SIGKILL
    found = trained("--resume", "--out", "out")
    assert "resumed at epoch 2, batch" in found.stdout
    assert weights("out") == whole
    assert len(Path("out/history.jsonl").read_text().splitlines()) == 3
    assert not list(Path("out").glob(".*.tmp")), "what a killed run left half-written is gone"


def test_ctrl_c(whole):
    status, error = interrupted("out", signal.SIGINT)
    assert status == 130
    assert error == ("tensorgraph: stopped; go on with: tensorgraph train --resume --out out\n")
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "audit.json",
        "checkpoint.safetensors",
        "history.jsonl",
        "model.safetensors",
        "provenance.json",
        "run.toml",
        "split.csv",
    ]
    trained("--resume", "--out", "out")
    assert weights("out") == whole


def test_a_finished_run_resumes_to_itself(whole):
    trained(*OPTIONS, "--out", "out")
    Path("out/evaluation.json").unlink()
    found = trained("--resume", "--out", "out")
    assert weights("out") == whole
    assert Path("out/evaluation.json").exists()
    assert " 3/3 " not in found.stdout, "nothing is trained again"


def test_a_run_killed_before_its_first_checkpoint(whole):
    trained(*OPTIONS, "--out", "out")
    for path in Path("out").iterdir():
        if path.name != "run.toml":
            path.unlink()
    trained("--resume", "--out", "out")
    assert weights("out") == whole


def test_changed_data_is_not_resumed():
    trained(*OPTIONS, "--epochs", "1", "--out", "out")
    text = Path("out/run.toml").read_text()
    Path("out/run.toml").write_text(text.replace("val = 0.1", "val = 0.2"))
    error = trained("--resume", "--out", "out", status=2).stderr
    assert "checkpoint.safetensors: the data has changed since" in error
