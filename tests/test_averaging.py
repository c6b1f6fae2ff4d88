"""The callback weight_average: the mean that it keeps, also of a resumed run, and when it wins."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from training_help import command, train

WEIGHTS = "model.safetensors"


def asked(more="", epochs=8):
    listed = f"['history', {{name = 'weight_average', start = 0.5}}{more}]"
    return ("--set", f"train.callbacks={listed}", "--set", f"train.epochs={epochs}")


def test_the_mean_is_that_of_the_weights_after_each_of_the_last_epochs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    states = []

    def keep(self, run, record):
        states.append({name: x.numpy() for name, x in run.model.named_parameters().items()})

    monkeypatch.setattr("training_help.Waits.on_epoch", keep, raising=False)
    more = ("--set", "data.val=0")
    assert command(*train("--data", "digits", *asked(", 'waits'"), *more)) == 0
    assert len(states) == 8
    kept = load_file(f"out/{WEIGHTS}")
    for name, x in kept.items():
        assert x == pytest.approx(np.mean([s[name] for s in states[4:]], axis=0), abs=1e-6)


def test_a_resumed_run_keeps_the_same_mean(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(*train("--data", "digits", *asked())) == 0
    Path("out").rename("whole")
    stops = ", {name = 'stops', epoch = 6, at = 3}"
    assert command(*train("--data", "digits", *asked(stops))) == 130
    path = Path("out/run.toml")
    table = path.read_text("utf-8")
    path.write_text(table.replace("at = 3", "at = 10000"), "utf-8")
    assert command("train", "--out", "out", "--resume") == 0
    one, other = load_file(f"whole/{WEIGHTS}"), load_file(f"out/{WEIGHTS}")
    assert all((one[key] == other[key]).all() for key in one)


def test_the_mean_is_kept_only_where_validation_says_that_it_is_better(tmp_path, monkeypatch):
    """By doubt, which falls with every epoch, the first epoch is better than any mean."""
    monkeypatch.chdir(tmp_path)
    more = ("--set", "train.metric=doubt", "--set", "train.schedule=constant")
    assert command(*train("--data", "digits", *asked(), *more)) == 0
    first = ("--epochs", "1", "--out", "one", *more)
    assert command(*train("--data", "digits", *first)) == 0
    kept, one = load_file(f"out/{WEIGHTS}"), load_file(f"one/{WEIGHTS}")
    assert all((kept[name] == one[name]).all() for name in one)


def test_a_share_that_is_none_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = ("--set", "train.callbacks=[{name = 'weight_average', start = 1}]")
    assert command(*train("--data", "digits", *given)) == 2
    assert "weight_average: start=1 is not from 0 up to" in capsys.readouterr().err
