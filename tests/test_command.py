"""The command: what it prints, and evaluate, predict and plugins."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_help import command, pictures, train

COMMAND = [sys.executable, "-m", "tensorgraph_cli"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENSORGRAPH_BACKEND", raising=False)


# evaluate and predict


@pytest.fixture
def run(capsys):
    pictures("pictures", "cat", "dog", n=30)
    assert command(*train("--data", "pictures", "--epochs", "5")) == 0
    capsys.readouterr()
    return Path("out")


def test_evaluate_writes_what_training_wrote(run, capsys):
    before = (run / "evaluation.json").read_text()
    (run / "evaluation.json").unlink()
    assert command("evaluate", run) == 0
    assert (run / "evaluation.json").read_text() == before
    assert "95 % interval" in capsys.readouterr().out


def test_evaluate_on_other_data_only_prints(run, capsys):
    before = (run / "evaluation.json").read_text()
    pictures("others", "cat", "dog", n=5, size=(16, 16))
    assert command("evaluate", run, "--data", "others", "--split", "all", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["split"], found["classes"]) == (10, "all", ["cat", "dog"])
    assert (run / "evaluation.json").read_text() == before


def test_evaluate_other_splits_only_prints(run, capsys):
    before = (run / "evaluation.json").read_text()
    assert command("evaluate", run, "--split", "val", "--json") == 0
    assert _json(capsys)["split"] == "val"
    assert (run / "evaluation.json").read_text() == before


def test_evaluate_on_other_classes(run, said):
    pictures("others", "cat", "cow", n=5)
    error = said("evaluate", run, "--data", "others")
    assert "others has the classes cat, cow, and the model was trained on cat, dog" in error
    assert "--split tset: " in said("evaluate", run, "--split", "tset")


def test_evaluate_what_is_no_run(said):
    assert "nothing is not a folder" in said("evaluate", "nothing")
    Path("empty").mkdir()
    assert "empty holds no trained model" in said("evaluate", "empty")
    Path("empty/model.safetensors").write_bytes(b"PK")
    assert "not a whole safetensors file" in said("evaluate", "empty")


def test_predict(run, capsys):
    assert command("predict", run, "pictures/cat/0.png", "pictures/dog/1.png", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["class"] for row in found] == ["cat", "dog"]
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1)
    assert found[0]["probability"] == max(found[0]["probabilities"].values())


def test_predict_agrees_with_evaluate(run, capsys):
    files = sorted(Path("pictures").rglob("*.png"))
    command("predict", run, *files, "--json")
    right = [row["class"] == Path(row["image"]).parent.name for row in _json(capsys)]
    command("evaluate", run, "--split", "all", "--json")
    assert _json(capsys)["metrics"]["accuracy"]["value"] == pytest.approx(np.mean(right))


def _json(capsys):
    return json.loads(capsys.readouterr().out)


def test_predict_other_sizes_and_channels(run, capsys):
    Image.new("RGB", (40, 30), (200, 0, 0)).save("red.png")
    assert command("predict", run, "red.png") == 0
    assert "red.png" in capsys.readouterr().out


def test_predict_what_is_no_image(run, said):
    Path("not.png").write_text("text")
    assert "not.png" in said("predict", run, "not.png")
    assert "none.png" in said("predict", run, "none.png")


# The command itself


def process(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_help_is_fast_and_lists_the_commands():
    spent = []
    for _ in range(3):  # seconds of a processor: the clock would measure its neighbours
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = process("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert found.returncode == 0
    for name in ("train", "evaluate", "predict", "plugins", "doctor", "warm-up", "check"):
        assert f"  {name} " in found.stdout
    assert min(spent) < 0.5


def test_help_imports_no_array_library():
    code = "import sys, tensorgraph_cli as c; c.main(['--help']); print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.endswith("False\n")


def test_debug_shows_the_traceback_wherever_it_stands():
    for place in (("--debug", "train"), ("train", "--debug")):
        found = process(*place, "--model", "none")
        assert found.returncode == 2
        assert "Traceback" in found.stderr
        assert found.stderr.rstrip().splitlines()[-1].startswith("tensorgraph: no model")
    assert "Traceback" not in process("train", "--model", "none").stderr


def test_precision_comes_from_the_run_file_and_stays_with_the_run(capsys, monkeypatch):
    Path("run.toml").write_text("[train]\nprecision = 'strict'\n[data]\nname = 'digits'\n")
    small = ("--model", "small", "--epochs", "1")
    assert command("train", "run.toml", *small, "--out", "one") == 0
    assert "strict precision" in capsys.readouterr().out
    assert 'precision = "strict"' in Path("one/run.toml").read_text("utf-8")
    assert command("train", "run.toml", *small, "--set", "train.precision=exact") == 2
    message = "precision 'exact' (from train.precision in run.toml) is not one of default, strict"
    assert message in capsys.readouterr().err
    monkeypatch.setenv("TENSORGRAPH_PRECISION", "default")
    assert command("train", "run.toml", *small, "--out", "two") == 0
    assert 'precision = "default"' in Path("two/run.toml").read_text("utf-8")
    assert command("doctor") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "default, chosen by the environment variable TENSORGRAPH_PRECISION" in shown


def test_plugins_lists_what_each_registers(capsys):
    assert command("plugins") == 0
    out = capsys.readouterr().out
    assert "tensorgraph_train" in out
    assert "metric accuracy, auc, balanced_accuracy, brier" in " ".join(out.split())


def test_a_broken_plugin_is_one_line(tmp_path):
    """A plugin that does not import: a warning of one line, and its error in plugins and doctor."""
    (tmp_path / "site" / "broken-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "broken_tensorgraph.py").write_text("import nothing_of_that_name\n")
    info = tmp_path / "site" / "broken-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tensorgraph]\nbroken = broken_tensorgraph\n")
    path = {"PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "200"}
    for name in ("plugins", "doctor"):
        found = process(name, **path)
        assert found.returncode == 0
        assert "nothing_of_that_name" in found.stdout
        assert found.stderr.count("\n") == 1
        assert found.stderr.startswith("tensorgraph: warning: plugin 'broken'")
        shown = "".join(found.stdout.split())
        assert ("broken_tensorgraph.py:1" in shown) == (name == "doctor"), "file and line"
    found = process("train", TENSORGRAPH_STRICT_PLUGINS="1", **path)
    assert found.returncode == 2
    assert "Traceback" not in found.stderr


def test_the_backend_that_won_is_printed(capsys, monkeypatch):
    Path("run.toml").write_text("[train]\nbackend = 'numpy'\n[data]\nname = 'digits'\n")
    assert command("train", "run.toml", "--model", "small", "--epochs", "1") == 0
    assert "numpy (chosen by train.backend in run.toml)" in capsys.readouterr().out
    monkeypatch.setenv("TENSORGRAPH_BACKEND", "numpy")
    command("train", "run.toml", "--model", "small", "--epochs", "1")
    assert "chosen by the environment variable TENSORGRAPH_BACKEND" in capsys.readouterr().out
    command("train", "run.toml", "--model", "small", "--epochs", "1", "--backend", "auto")
    out = capsys.readouterr().out
    assert "(auto, chosen by the call)" in out and "auto, because " in out


def test_a_backend_that_is_not_there_says_who_chose_it(capsys):
    Path("run.toml").write_text("[train]\nbackend = 'cuppy'\n")
    assert command("train", "run.toml") == 2
    missing = "no backend is named 'cuppy'; did you mean 'cupy'? Known: cupy, numpy"
    chosen = " (it was chosen by train.backend in run.toml)"
    assert capsys.readouterr().err.endswith(f"{missing}{chosen}\n")
    assert command("train", "run.toml", "--backend", "cuppy") == 2
    assert capsys.readouterr().err.endswith(f"{missing}\n")
