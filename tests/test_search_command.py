"""tensorgraph search: its table, which trials go on, failures, interruptions, mistakes."""

import csv
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import training_help
from tensorgraph_train import storage
from training_help import command

RUN = """
[data]
name = "digits"

[model]
name = "small"

[train]
epochs = 4
callbacks = ["history"]

[search]
trials = 4
halving = 2

[search.over]
train.optimizer.lr = {low = 1e-5, high = 1e-1, log = true}
"model.hidden" = {low = 4, high = 16, whole = true}
train.batch_size = [32, 64]
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run


def rows(out="out"):
    with Path(out, "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def history(folder, *names):
    lines = map(json.loads, Path(folder, "history.jsonl").read_text().splitlines())
    return [tuple(line[name] for name in names) for line in lines]


def searched(text, *arguments, out="out"):
    Path("run.toml").write_text(text)
    return command("search", "run.toml", "--out", out, *arguments)


def test_the_best_of_each_round_go_on_and_the_best_of_all_can_be_trained(capsys):
    assert searched(RUN) == 0
    shown = capsys.readouterr().out
    assert "4 trials by random search: 4 to epoch 1, 2 to epoch 2, 1 to epoch 4" in shown
    found = rows()
    assert [int(row["epochs"]) for row in found] == [4, 2, 1, 1]
    assert len({row["train.optimizer.lr"] for row in found}) == 4
    values = {row["trial"]: history(f"out/{row['folder']}", "val_accuracy") for row in found}
    for epochs, count in ((1, 2), (2, 1)):  # who went on were the best until there
        until = {n: max(x[:epochs]) for n, x in values.items() if len(x) >= epochs}
        went_on = {n for n, x in values.items() if len(x) > epochs}
        assert len(went_on) == count
        assert min(until[n] for n in went_on) >= max(until[n] for n in {*until} - went_on)
    assert all(float(row["value"]) == max(values[row["trial"]])[0] for row in found)
    log = Path("out", f"{found[0]['folder']}.log").read_text()
    assert [f"resumed at epoch {n}, batch 1" in log for n in (1, 2, 3)] == [False, True, True]
    assert Path("out/mattered.png").stat().st_size > 5000

    assert command("train", "out/best.toml", "--out", "again") == 0
    best, names = Path("out", found[0]["folder"]), ("loss", "val_accuracy", "lr")
    assert history("again", *names) == history(best, *names), "paused, as if it had not been"
    kept = [Path(x, "model.safetensors") for x in ("again", best)]
    first, second = (storage.load_tensors(path)[0] for path in kept)
    assert all((first[name] == second[name]).all() for name in first)
    assert "pause" not in Path("out/best.toml").read_text()


@pytest.mark.slow
def test_interrupted_by_every_signal_in_the_middle_of_a_trial_it_gives_the_same_table():
    text = RUN.replace("epochs = 4", "epochs = 4\ncheckpoint_every = 0")
    text = text.replace('["history"]', '["history", "waits"]')
    assert searched(text, out="whole") == 0
    call = [sys.executable, training_help.__file__, "search"]
    arguments = ["run.toml"]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(
            [*call, *arguments, "--out", "out"],
            env={**os.environ, "WAIT_FOR_SIGNAL": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        begun, deadline = time.time_ns(), time.monotonic() + 60
        while not in_second_epoch(begun) and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        if number is signal.SIGINT:
            assert command("search", "--resume", "--out", "out") == 2, "one at a time"
        process.send_signal(number)
        error = process.communicate(timeout=60)[1]
        assert process.returncode == (130 if number is signal.SIGINT else -number)
        if number is signal.SIGINT:
            assert "go on with: tensorgraph search --resume --out out" in error
        arguments = ["--resume"]
    assert command("search", "--resume", "--out", "out") == 0

    def lasting(out):
        return [{k: x for k, x in row.items() if k != "seconds"} for row in rows(out)]

    assert lasting("out") == lasting("whole")
    assert Path("out/best.toml").read_text() == Path("whole/best.toml").read_text()


def in_second_epoch(begun):
    """Whether a trial has come there since, and is in the middle of it."""
    for path in Path("out").glob("trial-*/checkpoint.safetensors"):
        progress = storage.load_metadata(path)["progress"]
        if path.stat().st_mtime_ns > begun and progress["epoch"] == 1 and progress["batch"] >= 3:
            return True
    return False


def test_a_trial_that_fails_is_noted_and_the_search_goes_on(capsys):
    text = RUN.replace("epochs = 4", "epochs = 2").partition("[search.over]")[0]
    text += '[search.over]\nmodel.name = ["small", "explodes"]\ntrain.optimizer.lr = [0.1, 0.01]\n'
    assert searched(text) == 0
    assert "failed" in capsys.readouterr().out
    said = {(row["model.name"], row["value"] == "", row["failed"][:11]) for row in rows()}
    assert said == {("small", False, ""), ("explodes", True, "the loss is")}
    assert rows()[-1]["model.name"] == "explodes" and rows()[-1]["epochs"] == "1"


def test_what_a_range_makes_wrong_now_and_then_fails_that_trial_alone():
    text = RUN.replace("halving = 2", "").replace("epochs = 4", "epochs = 1")
    text = text.replace("[32, 64]", "[32, 0]")
    status = searched(text)
    first = [row["train.batch_size"] for row in rows() if row["trial"] == "1"]
    assert (status, first) == (0, ["32"])
    assert {(row["train.batch_size"], row["value"] == "") for row in rows()} == {
        ("32", False),
        ("0", True),
    }


def test_options_of_augmentations_and_whole_tables_are_searched_over():
    text = RUN.partition("[search]")[0].replace("epochs = 4", 'epochs = 1\naugment = ["rotate"]')
    text += """[search]
trials = 2
[search.over]
train.augment.rotate.degrees = {low = 5, high = 20}
train.schedule = ["constant", {name = "cosine", warmup = 1}]
"""
    assert searched(text) == 0
    for row in rows():
        stored = Path("out", row["folder"], "run.toml").read_text()
        assert f"degrees = {row['train.augment.rotate.degrees']}" in stored
        assert ("warmup = 1" in stored) == ("cosine" in row["train.schedule"])


@pytest.mark.filterwarnings("default")
def test_train_trains_the_values_of_the_file_itself_and_says_so(capsys):
    Path("run.toml").write_text(RUN)
    assert command("train", "run.toml", "--out", "out", "--epochs", "1") == 0
    assert "[search] is for 'tensorgraph search'" in capsys.readouterr().err
    assert "search" not in Path("out/run.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search",), "give a run file with a section [search]"),
        (("search", "none.toml"), "run file none.toml: there is no such file"),
        (("search", "--resume", "--out", "none"), "say which search to go on with"),
        (("search", "plain.toml"), "no section [search]"),
        (
            ("search", "wrong.toml", "--out", "a"),
            "the first trial: no key train.epoch; did you mean epochs",
        ),
        (("search", "folds.toml", "--out", "a"), "leave data.folds out of the run file"),
        (("search", "plain.toml", "--out", "full"), "full: it is not empty; add --resume"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing(arguments, words, capsys):
    Path("plain.toml").write_text("[train]\nepochs = 1\n")
    Path("wrong.toml").write_text(RUN + "train.epoch = [1, 2]\n")
    Path("folds.toml").write_text(RUN.replace("[data]", "[data]\nfolds = 3"))
    Path("full").mkdir()
    Path("full/notes.txt").write_text("")
    assert command(*arguments) == 2
    assert words in capsys.readouterr().err
    assert not Path("a").exists()
    assert not Path("runs").exists()
