"""provenance.json: hashes as sha256sum prints them, the machine, and what a resumed run adds."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tensorgraph_train import provenance
from tensorgraph_train.runfile import Data
from training_help import command, pictures, train

import tensorgraph as tg


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(data):
    provenance.write(Path(), data)
    return json.loads(Path(provenance.NAME).read_text())


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not here")
def test_a_file_and_a_folder():
    Path("data").mkdir()
    pictures("data/set", "cat", "dog", n=2)
    script = "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    folder = subprocess.run(
        ["bash", "-c", script], cwd="data", capture_output=True, text=True, check=True
    ).stdout.split()[0]
    file = subprocess.run(
        ["sha256sum", "data/set/cat/0.png"], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    assert written(Data(path="data"))["data"] == {"SHA-256 of the data's 4 files": folder}
    Path(provenance.NAME).unlink()
    found = written(Data(path="data/set/cat/0.png"))
    assert found["data"] == {"SHA-256 of the data's file": file}


def test_bundled_data_have_no_file():
    assert written(Data(name="digits"))["data"] == {}


def test_a_run_writes_it_and_a_resumed_one_adds_to_it():
    pictures("pictures", "cat", "dog", n=20)
    assert command(*train("--data", "pictures")) == 0
    first = json.loads(Path("out", provenance.NAME).read_text())
    assert first["versions"]["tensorgraph"]
    assert first["machine"]["cores"] >= 1
    assert "resumed" not in first
    assert command("train", "--out", "out", "--resume") == 0
    again = json.loads(Path("out", provenance.NAME).read_text())
    assert {**again, "resumed": None} == {**first, "resumed": None}
    assert len(again["resumed"]) == 1


def test_without_the_plugin_that_knows_the_machine(monkeypatch):
    monkeypatch.delitem(tg.walks._things, "machine")
    assert list(written(Data())["versions"]) == ["tensorgraph"]
