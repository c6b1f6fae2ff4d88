"""What names a patient in DICOM files is nowhere in what a run writes or prints."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from medical_help import PLANTED, dicom_file
from training_help import command

import tensorgraph as tg
from tensorgraph.errors import DataError

pytest.importorskip("pydicom")


def forms(value):
    """A text as it may turn up: whole, in parts, in other cases and dates."""
    parts = [value, *value.replace("^", " ").split()]
    if value.isdecimal() and len(value) == 8:  # a date
        year, month, day = value[:4], value[4:6], value[6:]
        parts += [f"{year}-{month}-{day}", f"{day}.{month}.{year}", f"{month}/{day}/{year}"]
    return {part.lower().encode() for part in parts if len(part) > 3}


SECRETS = set().union(*map(forms, PLANTED.values())) - {b"lives", b"beside"}


def study(folder):
    """Each file has the same planted texts but for the id, so that there are many patients."""
    draw = np.random.default_rng(0)
    for i in range(30):
        tags = {**PLANTED, "PatientID": f"{PLANTED['PatientID']}-{i // 2:04}"}
        tags |= {"InstitutionName": "St. Elsewhere", "PatientAge": "070Y", "PatientSex": "F"}
        pixels = draw.integers(0, 900, (8, 8)).astype(np.uint16) + 900 * (i // 2 % 2)
        dicom_file(folder / "ab"[i // 2 % 2] / f"{i}.dcm", pixels, **tags)
    return folder


def test_the_planted_texts_are_in_the_files(tmp_path):
    path = next(study(tmp_path / "data").rglob("*.dcm"))
    data = path.read_bytes().lower()
    assert all(value.lower().encode() in data for value in PLANTED.values())


@pytest.mark.parametrize("cache", [1.0, 0.0])
def test_no_identifying_element_reaches_the_run(tmp_path, monkeypatch, capfd, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "key"))
    study(Path("data"))
    few = ["--epochs", "1", "--set", "model.filters=[4]", "--set", f"data.cache={cache}"]
    assert command("train", "--data", "data", "--out", "out", *few) == 0
    assert command("evaluate", "out") == 0
    assert command("predict", "out", "data/a/0.dcm", "--json") == 0
    printed = "".join(capfd.readouterr()).encode()
    files = [path for path in Path("out").rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"run.toml", "split.csv", "audit.json", "predictions.csv", "model.safetensors"} <= names
    for name, content in [*((p.name, p.read_bytes()) for p in files), ("printed", printed)]:
        for secret in SECRETS:
            assert secret not in content.lower(), f"{name} holds {secret.decode()}"
            assert secret.decode().encode("utf-16-le") not in content, name


@pytest.mark.filterwarnings("default")
def test_errors_and_warnings_say_nothing_of_the_patient(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "key"))
    path = study(tmp_path / "data") / "a" / "0.dcm"
    whole, said = path.read_bytes(), ""
    cut = [whole[:end] for end in range(140, len(whole), 20)]
    changed = [whole[:at] + b"\xff" + whole[at + 1 :] for at in range(128, len(whole) - 128, 3)]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for data in (*cut, *changed):
            path.write_bytes(data)
            try:
                tg.datasets["image"].load(path)
            except DataError as error:
                said += f"{error}\n"
    said += "".join((*capsys.readouterr(), *(str(w.message) for w in warned)))
    assert "0.dcm is damaged or cut short" in said
    assert not [secret for secret in SECRETS if secret in said.lower().encode()]


def test_the_groups_in_the_run_are_pseudonyms(tmp_path, monkeypatch):
    """They are among the data's own, for whoever writes them down."""
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "key"))
    dataset = tg.datasets["folder"].load(study(tmp_path / "data"))
    known = json.dumps(
        [list(dataset.groups), {k: v.tolist() for k, v in dataset.columns.items()}, dataset.notes]
    )
    assert len(set(dataset.groups)) == 15 and dataset.columns["year"][0] == 2021
    assert not [secret for secret in SECRETS if secret.decode() in known.lower()]
