"""The report of a run: its sections, what is missing, what must never be in it, who adds to it."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from report_help import BUILT_IN, FINDINGS, audited, dressed, manifest, report, trained

import tensorgraph as tg

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


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
    audited(run)
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


def test_a_control_says_that_it_is_one(run):
    settings = (run / "run.toml").read_text()
    (run / "run.toml").write_text(settings.replace("control = false", "control = true", 1))
    assert "This is a control" in report(run).text["at-a-glance"]


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
