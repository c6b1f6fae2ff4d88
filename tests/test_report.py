"""The report of a run: its sections, what is missing, what must never be in it, who adds to it."""

import base64
import json
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tensorgraph_report
from report_help import FINDINGS, dressed, edited, manifest, trained
from training_help import command

import tensorgraph as tg

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
BUILT_IN = [name.replace("_", "-") for name in tensorgraph_report.SECTIONS]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    data = manifest(folder / "images", site=["Lyon", "Basel"], sex=["f", "m", "f"])
    return trained(data, folder / "run")


@pytest.fixture
def run(original, tmp_path, monkeypatch):
    """A copy that a test may spoil."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(original, "run")
    return Path("run")


class Page(HTMLParser):
    """The elements of a page, and the text of each section."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text, self.section = [], [], {}, ""
        self.feed(text)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag == "section":
            self.section = attributes["id"]
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.section = ""

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + " ".join(data.split()) + " "

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def report(folder):
    assert command("report", folder) == 0
    return Page((Path(folder) / "report.html").read_text("utf-8"))


def test_every_section_is_there_and_in_the_list(run, capsys):
    page = report(run)
    assert [s["id"] for s in page.of("section")] == BUILT_IN
    links = [a["href"] for a in page.of("a")]
    assert links[1:] == [f"#{name}" for name in BUILT_IN]
    assert "run/report.html: " in capsys.readouterr().out
    assert "Not for clinical use." in page.text[""]


def test_the_figures_are_those_of_the_evaluation(run):
    found = json.loads((run / "evaluation.json").read_text())
    text = report(run).text
    auc = found["metrics"]["auc"]
    assert f"AUC {auc['value']:.3f} {auc['low']:.3f} … {auc['high']:.3f}" in text["at-a-glance"]
    at = found["at_threshold"]["sensitivity"]
    assert (
        f"Sensitivity {at['value']:.3f} {at['low']:.3f} … {at['high']:.3f}" in text["performance"]
    )
    assert f"from a probability of {found['threshold']['value']:.3f} on" in text["performance"]
    assert found["baseline"]["rule"] in text["performance"]
    flat = [f"{n}{n / max(sum(row), 1):.0%}" for row in found["confusion"]["counts"] for n in row]
    assert all(cell in text["confusion"].replace(" ", "") for cell in flat)


def test_the_splits_and_the_audit(run):
    text = report(run).text["data"]
    found = tg.plugins.walk("run_images", run)
    for name, indices in found.splits.items():
        assert re.search(rf"{name} {len(indices)} ", text)
    for _, level, sentence in FINDINGS:
        assert f"{level} {sentence}" in text
    order = [text.index(level) for level in ("✕ error", "! warning", "✓ fine", "– not run")]
    assert order == sorted(order)


def test_the_checklist_has_every_item_once(run):
    text = report(run).text["checklist"]
    numbers = [int(n) for n in re.findall(r"(?<!\S)(\d+)  \S", text)]
    assert "Level at which the partitions are disjoint" in text
    assert [n for n in numbers if n <= 44][-44:] == [*range(1, 45)] or text.count(
        "The author"
    ) == 44
    filled = int(re.search(r"Of its 44 items (\d+)", text)[1])
    assert text.count("✓ From the run:") == filled >= 20


def test_nothing_is_fetched_and_nothing_runs(run):
    page = report(run)
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not page.of("script")
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))


def test_pictures_have_words_and_tables_captions(run):
    page = report(run)
    assert all(len(image["alt"]) > 15 for image in page.of("img"))
    named = {f["id"] for f in page.of("figcaption") if "id" in f}
    assert {t["aria-labelledby"] for t in page.of("table")} == named
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    regions = [d for d in page.of("div") if d.get("class") == "wide"]
    assert all(d["tabindex"] == "0" and d["role"] == "region" for d in regions)


@pytest.mark.parametrize(
    ("file", "section", "sentence"),
    [
        ("evaluation.json", "performance", "This run has no evaluation.json"),
        ("predictions.csv", "curves", "This run has no predictions.csv"),
        ("predictions.csv", "mistakes", "This run has no predictions.csv"),
        ("split.csv", "data", "This run has no split.csv"),
        ("audit.json", "data", "This run has no audit.json"),
        ("history.jsonl", "training", "This run has no history.jsonl"),
        ("model.safetensors", "model", "This run has no model.safetensors"),
    ],
)
def test_a_file_that_is_missing_is_named(run, file, section, sentence):
    (run / file).unlink()
    assert sentence in report(run).text[section]


def test_images_that_are_gone(run, capsys):
    settings = (run / "run.toml").read_text()
    (run / "run.toml").write_text(re.sub(r'path = ".*"', 'path = "gone/manifest.csv"', settings))
    page = report(run)
    assert "examples" not in page.text
    assert "note  the images cannot be read" in capsys.readouterr().out


def test_the_same_run_gives_the_same_report(run):
    report(run)
    first = (run / "report.html").read_bytes()
    report(run)
    assert (run / "report.html").read_bytes() == first
    assert len(first) < 5e6


def test_what_is_no_run(run, said):
    Path("empty").mkdir()
    assert "empty holds no run; give the folder that 'tensorgraph train' wrote" in said(
        "report", "empty"
    )
    assert "nothing is not a folder" in said("report", "nothing")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("audit.json", "{", "audit.json: damaged or cut short"),
        ("split.csv", "picture,part\na,b\n", "its header does not begin with image,split,group"),
        ("predictions.csv", "image,split,group,label,a\nx,test,,a\n", "line 2 has not 5 values"),
        ("predictions.csv", "image,split,group,label,a\nx,test,,a,high\n", "predictions.csv"),
    ],
)
def test_damaged_files(run, said, name, content, words):
    (run / name).write_text(content)
    assert words in said("report", run)


def test_a_file_that_cannot_be_written(run, said):
    assert "gone/report.html" in said("report", run, "--out", "gone/report.html")


def test_without_the_extra(run, said, monkeypatch):
    for module in ("page", "parts", "study"):
        monkeypatch.delitem(sys.modules, f"tensorgraph_report.{module}")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "jinja2 is not installed; pip install 'tensorgraph[report]'" in said("report", run)


# Names


def everything(folder):
    """All text of a report, its pictures' bytes among it."""
    report(folder)
    text = (Path(folder) / "report.html").read_text("utf-8")
    inside = [base64.b64decode(x) for x in re.findall(r"base64,([A-Za-z0-9+/=]+)", text)]
    return text.encode() + b"".join(inside)


def test_no_name_of_a_person_is_in_it(tmp_path, monkeypatch):
    """Names in folders, file names, groups, columns, and the pictures' own text."""
    from PIL import Image, PngImagePlugin

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
    named = [f"{line},{'Jane Roe' if i < 3 else 'x'}" for i, line in enumerate(lines[1:])]
    (run / "split.csv").write_text("\n".join([f"{lines[0]},referrer", *named]) + "\n")
    found = everything(run)
    for name in (b"Mustermann", b"Erika", b"Smith", b"Anna", b"Doe", b"John", b"Jane", b"Ort7"):
        assert name not in found, name


def test_words_that_are_markup_are_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = manifest("images", classes=("<script>alert(1)</script>", 'a"&<b>b'))
    page = report(trained(data))
    assert not page.of("script")
    assert "<script>alert(1)</script>" in page.text["at-a-glance"]


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


# Strangers' sections


class Stranger:
    @staticmethod
    @tg.hookimpl
    def register_sections(register):
        register("house_rules", lambda study: study.text(f"{len(study.history)} & <more>"))
        register("breaks", lambda study: 1 / 0)
        register("silent", lambda study: "")


def test_sections_of_strangers(run, monkeypatch, capsys):
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
    assert ids[ids.index("subgroups") : ids.index("model") + 1] == [
        "subgroups",
        "breaks",
        "house-rules",
        "model",
    ]
    assert page.text["house-rules"].split() == ["House", "rules", "2", "&", "<more>"]
    assert "plugin 'stranger-sections' failed: ZeroDivisionError" in page.text["breaks"]
    assert "note  section 'breaks'" in capsys.readouterr().out


def test_a_run_without_groups_says_what_that_risks(run):
    lines = (run / "split.csv").read_text().splitlines()
    bare = [",".join([*line.split(",")[:2], "", *line.split(",")[3:]]) for line in lines[1:]]
    (run / "split.csv").write_text("\n".join([lines[0], *bare]) + "\n")
    assert "Nothing says which images are of the same patient" in report(run).text["data"]


def test_a_torn_patient_is_told(run):
    lines = (run / "split.csv").read_text().splitlines()
    bare = [",".join([*line.split(",")[:2], "p1", *line.split(",")[3:]]) for line in lines[1:]]
    (run / "split.csv").write_text("\n".join([lines[0], *bare]) + "\n")
    assert "1 patient has images in more than one split" in report(run).text["data"]


def test_dressing_leaves_real_files_alone(run):
    before = (run / "split.csv").read_bytes()
    dressed(run)
    assert (run / "split.csv").read_bytes() == before
