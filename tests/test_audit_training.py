"""The audit in a training run and as a command: shown, kept, and where it is strict, heeded."""

import json
from pathlib import Path

import numpy as np
import pytest
from training_help import archive, command, pictures, train


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def twice(folder):
    """Two classes; an image of test is also in train."""
    data = pictures(folder, "cat", "dog", n=40)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            Path(data, part, name).mkdir(parents=True)
    for name in ("cat", "dog"):
        for i, path in enumerate(sorted(Path(data, name).iterdir())):
            path.rename(Path(data, "train" if i < 30 else "test", name, path.name))
        Path(data, name).rmdir()
    first = sorted(Path(data, "train", "cat").iterdir())[0]
    Path(data, "test", "cat", "again.png").write_bytes(first.read_bytes())
    return data


def test_training_shows_and_keeps_the_findings(here, capsys):
    assert command(*train("--data", twice("data"))) == 0
    assert "1 of 21 images of test are, pixel for pixel, in train" in capsys.readouterr().out
    stored = json.loads(Path("out/audit.json").read_text())["findings"]
    assert stored[0]["images"] == [["train/cat/0.png", "test/cat/again.png"]]


def test_strict_refuses_before_anything_is_written(here, said):
    error = said(*train("--data", twice("data"), "--set", "data.strict=true"))
    assert "data is refused (data.strict is on):\n  exact duplicates: 1 of 21 images" in error
    assert error.endswith("mend the data or its split, or train with --set data.strict=false\n")
    assert not Path("out").exists()


def test_strict_lets_clean_data_pass(here):
    draw = np.random.default_rng(0)
    arrays = {f"{part}_images": draw.integers(0, 255, (60, 16, 16)) for part in ("train", "test")}
    arrays |= {f"{part}_labels": np.arange(60) % 2 for part in ("train", "test")}
    data = archive("data.npz", **{k: x.astype(np.uint8) for k, x in arrays.items()},
                   val_images=draw.integers(0, 255, (8, 16, 16)).astype(np.uint8))  # fmt: skip
    assert command(*train("--data", data, "--set", "data.strict=true")) == 0


def test_without_the_plugin_training_goes_on_and_strict_says_so(here, said, monkeypatch):
    from tensorgraph_train import leaks

    monkeypatch.setattr(leaks, "WALK", "none")
    assert "no plugin audits the data" in said(*train("--set", "data.strict=true"))
    assert command(*train()) == 0
    assert not Path("out/audit.json").exists()


def test_the_command(here, capsys):
    twice("data")
    assert command("audit", "data") == 1
    out = capsys.readouterr().out
    assert "data: 81 images (train " in out
    assert "error  exact duplicates" in out
    assert "  train/cat/0.png  test/cat/again.png" in out
    assert command("audit", "data", "--json") == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["level"] == "error"
    assert command("audit", "data", "--set", "data.group=/([0-9a])[^/]*png") == 1
    assert "are in both train and test: results on them" in capsys.readouterr().out
    assert command("audit", "nowhere") == 2


def test_the_command_on_a_run(here, capsys):
    archive("data.npz")
    assert command(*train("--data", "data.npz")) == 0
    capsys.readouterr()
    assert command("audit", "out") == 0
    assert "data: 36 images (train 20, val 8, test 8)" in capsys.readouterr().out
