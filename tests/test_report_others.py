"""What must never be in a report, other tasks than two classes, and sections that others offer."""

import base64
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from report_help import BUILT_IN, dressed, edited, manifest, report, trained
from training_help import command

import tensorgraph as tg

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return trained(manifest("images"))


# Names


def everything(folder):
    """All text of a report, its pictures' bytes among it."""
    report(folder)
    text = (Path(folder) / "report.html").read_text("utf-8")
    inside = [base64.b64decode(x) for x in re.findall(r"base64,([A-Za-z0-9+/=]+)", text)]
    return text.encode() + b"".join(inside)


def test_no_name_of_a_person_is_in_it(tmp_path, monkeypatch):
    """Names in folders, file names, groups, columns, and the pictures' own text."""
    monkeypatch.chdir(tmp_path)
    Path("Mustermann-Erika").mkdir()
    data = manifest("Mustermann-Erika/set", city=[f"Ort{i}" for i in range(30)], sex=["f", "m"])
    for i, path in enumerate(sorted(data.parent.glob("*.png"))):
        note = PngImagePlugin.PngInfo()
        note.add_text("PatientName", f"Doe^John{i}")
        with Image.open(path) as image:
            image.load()
        image.save(path.with_name(f"Smith-Anna-{path.name}"), pnginfo=note)
        path.unlink()
    rows = data.read_text().replace("\n0-", "\nSmith-Anna-0-").replace("\n1-", "\nSmith-Anna-1-")
    data.write_text(rows.replace("normal-0\n", "Jane Roe\n"))
    run = trained(data)
    with (run / "split.csv").open(newline="") as file:
        lines = file.read().splitlines()
    named = [
        f"{line},{'Jane Roe' if i < 3 else 'x'},Reader{i % 13}" for i, line in enumerate(lines[1:])
    ]
    (run / "split.csv").write_text("\n".join([f"{lines[0]},referrer,read by", *named]) + "\n")
    found = everything(run)
    for name in ("Mustermann", "Erika", "Smith", "Anna", "Doe", "John", "Jane", "Ort7", "Reader"):
        assert name.encode() not in found, name


@pytest.mark.skipif("dicom" not in tg.formats, reason="no plugin reads DICOM files")
def test_no_tag_of_a_dicom_file_is_in_it(tmp_path, monkeypatch):
    pydicom = pytest.importorskip("pydicom")
    monkeypatch.chdir(tmp_path)
    data = manifest("images", site=["Lyon", "Basel"])
    tags = {
        "PatientName": "Doe^Jane",
        "PatientID": "HOSP-4711",
        "PatientBirthDate": "19501231",
        "PatientAddress": "Sesame Street",
        "InstitutionName": "Saint Secret",
        "ReferringPhysicianName": "House^Gregory",
        "AccessionNumber": "ACC-815",
        "StudyDate": "20240203",
    }
    for i, path in enumerate(sorted(data.parent.glob("*.png"))):
        with Image.open(path) as picture:
            x = np.asarray(picture)
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
        meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        file = pydicom.Dataset()
        file.file_meta = meta
        file.SOPClassUID, file.SOPInstanceUID = meta[0x00020002].value, meta[0x00020003].value
        for tag, value in tags.items():
            setattr(file, tag, value + (str(i // 2) if tag in ("PatientID", "PatientName") else ""))
        file.Rows, file.Columns = x.shape
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 8, 8, 7, 0
        file.PixelData = x.tobytes()
        file.save_as(path.with_suffix(".dcm"), enforce_file_format=True)
        path.unlink()
    rows = [line.split(",") for line in data.read_text().replace(".png", ".dcm").splitlines()]
    data.write_text("".join(f"{path},{label},{site}\n" for path, label, _, site in rows))
    run = trained(data)
    assert "patients, told apart by pseudonyms" in report(run).text["data"]
    found = everything(run)
    for value in (
        "Doe",
        "Jane",
        "HOSP",
        "1950",
        "Sesame",
        "Secret",
        "House",
        "ACC-815",
        "20240203",
    ):
        assert value.encode() not in found, value


def test_sentences_that_name_an_image_are_left_out(run):
    name = tg.plugins.walk("run_images", run).names[0]

    def add(found):
        text = f"Nobody knows what {name} shows."
        found["findings"].append(
            {"check": "odd", "level": "warning", "text": text, "images": [], "figures": {}}
        )

    edited(run, "audit.json", add)
    text = report(run).text["data"]
    assert "names an image or a patient" in text
    assert str(name) not in text


def test_words_that_are_markup_are_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = manifest("images", classes=("<script>alert(1)</script>", 'a"&<b>b'))
    page = report(trained(data))
    assert not page.of("script")
    assert "<script>alert(1)</script>" in page.text["at-a-glance"]


# Folds


def test_a_cross_validation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = manifest("images")
    options = ("--folds", 2, "--model", "small_cnn", "--epochs", 1, "--out", "run")
    assert command("train", "--data", data, *options) == 0
    page = report("run")
    assert "small_cnn was trained on manifest.csv 2 times" in page.text["at-a-glance"]
    assert "every image was judged once" in page.text["at-a-glance"]
    assert "ROC curve" in page.text["curves"]
    assert re.search(r"fold-[12], line \d+: is (normal|ill)", page.text["mistakes"])
    for section in ("training", "model"):
        assert "'tensorgraph report fold-1' in this folder" in page.text[section]
    assert "training" in report("run/fold-2").text


# Size


@pytest.mark.slow
def test_it_stays_small(tmp_path, monkeypatch):
    """Large pictures of noise, and more predictions than there are pixels in a plot."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    generator = np.random.default_rng(0)
    lines = ["path,label"]
    for i in range(90):
        noise = generator.integers(0, 256, (260, 300, 3)).astype(np.uint8)
        Image.fromarray(noise).save(f"images/{i}.png")
        lines.append(f"{i}.png,{'abc'[i % 3]}")
    Path("images/set.csv").write_text("\n".join(lines) + "\n")
    out = ("--out", "run", "--set", "data.resize=[260,300]", "--model", "neuron", "--epochs", 1)
    assert command("train", "--data", "images/set.csv", *out) == 0
    dressed("run")
    with Path("run/predictions.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    tested = [row for row in rows if row[1] == "test"]
    more = [[*tested[i % len(tested)][:4], *generator.dirichlet([1, 1, 1])] for i in range(30_000)]
    with Path("run/predictions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*rows, *more])
    page = report("run")
    assert Path("run/report.html").stat().st_size < 5e6
    assert sum(image["src"].startswith("data:image/jpeg") for image in page.of("img")) > 30


# Tasks


def test_many_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = manifest("images", classes=[f"class {i}" for i in range(4)], n=20)
    page = report(trained(data))
    assert "Each class against all others" in page.text["performance"]
    assert "class 3" in page.text["confusion"]
    assert [s["id"] for s in page.of("section")] == BUILT_IN


@pytest.mark.parametrize("task", ["regression", "multilabel"])
def test_other_tasks(run, task):
    """Of evaluations as these tasks give them."""
    head, *lines = (run / "predictions.csv").read_text().splitlines()
    generator = np.random.default_rng(0)
    rows, card = [], {"regression": ["age"], "multilabel": ["normal", "ill"]}[task]
    for line in lines:
        image, split, group, *_ = line.split(",")
        p, q = generator.random(2)
        label = p + 0.1 * q if task == "regression" else ("normal|ill" if p > 0.5 else "normal")
        rows.append([image, split, group, label, p, *([q] if len(card) > 1 else [])])
    names = ["prediction"] if task == "regression" else card
    table = [[*head.split(",")[:4], *names], *rows]
    (run / "predictions.csv").write_text("".join(f"{','.join(map(str, r))}\n" for r in table))

    def change(found):
        row = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "bootstrap"}
        found |= {"task": task, "confusion": None, "per_class": None, "threshold": None}
        found |= {"at_threshold": None, "subgroups": {}, "decision_curve": None}
        found["metrics"] = {"mae" if task == "regression" else "auc": row}

    edited(run, "evaluation.json", change)
    page = report(run)
    if task == "regression":
        assert "Bland and Altman" in page.text["curves"]
        assert "missed by most" in page.text["mistakes"]
    else:
        assert "ROC curve" in page.text["curves"]


def test_robustness(run):
    assert "This run has no shift.json" in report(run).text["robustness"]
    assert command("shift", run) == 0
    found = json.loads((run / "shift.json").read_text())
    page = report(run)
    for row in found["changes"]:
        assert f"{row['difference']:+.3f}" in page.text["robustness"]
    alts = " ".join(image["alt"] for image in page.of("img"))
    assert "hidden: top left corner" in alts


# Strangers' sections


class Stranger:
    @staticmethod
    @tg.hookimpl
    def register_sections(register):
        register("house_rules", lambda study: study.text(f"{len(study.history)} & <more>"))
        register("breaks", lambda study: 1 / 0)
        register("silent", lambda study: "")


def test_sections_of_strangers(run, capsys):
    if "house_rules" not in tg.sections:
        tg.plugins.register(Stranger, "stranger-sections")
    try:
        page = report(run)
    finally:
        registry = tg.sections
        for name in ("house_rules", "breaks", "silent"):
            registry._things.pop(name)
            registry._plugins.pop(name)
        tg.plugins.manager.unregister(name="stranger-sections")
    ids = [s["id"] for s in page.of("section")]
    assert ids[ids.index("robustness") : ids.index("model") + 1] == [
        "robustness",
        "breaks",
        "explanations",
        "house-rules",
        "model",
    ]
    assert page.text["house-rules"].split() == ["House", "rules", "2", "&", "<more>"]
    assert "plugin 'stranger-sections' failed: ZeroDivisionError" in page.text["breaks"]
    assert "note  section 'breaks'" in capsys.readouterr().out
