"""tensorgraph explain and tensorgraph draw: what they write, say and refuse."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from report_help import manifest, report
from tensorgraph_explain.pictures import FAILED
from training_help import command

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    data = manifest(folder / "images")
    chosen = ("--model", "small_cnn", "--epochs", "1", "--set", "train.compile=false")
    assert command("train", "--data", data, "--out", folder / "run", *chosen) == 0
    return folder / "run"


def test_pictures_are_written_with_their_check(run, tmp_path, capsys):
    images = run.parent / "images"
    chosen = [images / "0-0.png", images / "1-1.png"]
    assert command("explain", run, *chosen, "--out", tmp_path, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [Path(r["file"]).name for r in rows if r["method"] == "grad_cam"] == [
        "001-0-0-grad_cam.png",
        "002-1-1-grad_cam.png",
    ]
    assert len(rows) == 6
    for row in rows:
        with Image.open(row["file"]) as picture:
            assert picture.width > 3 * 240
        assert row["says"][-1].startswith("sanity check ")
        assert row["passed"] == ("FAILED" not in row["says"][-1])
        assert list(row["random_down_to"])[-1] == "0"
    assert all("completeness error" in r["says"][0] for r in rows if r["method"][0] == "i")


def test_edges_are_said_to_fail(run, tmp_path, capsys):
    image = run.parent / "images" / "0-0.png"
    chosen = ("--method", "edges", "--method", "filters", "--method", "translation")
    assert command("explain", run, image, "--out", tmp_path, *chosen) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "FAILED: this map does not show the model" in lines[0]
    assert "of the places" in lines[2]
    with Image.open(tmp_path / "001-0-0-edges.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert FAILED in [colour for _, colour in colours]


def test_a_model_without_feature_maps(run, tmp_path, capsys):
    chosen = ("--model", "mlp", "--epochs", "1", "--set", "train.compile=false")
    data = run.parent / "images" / "manifest.csv"
    assert command("train", "--data", data, "--out", tmp_path / "run", *chosen) == 0
    capsys.readouterr()
    image = run.parent / "images" / "0-0.png"
    assert command("explain", tmp_path / "run", image, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in rows] == ["occlusion", "integrated_gradients"]


def test_the_class_can_be_chosen(run, tmp_path, capsys):
    image = run.parent / "images" / "0-0.png"
    for name in ("normal", "ill"):
        assert command("explain", run, image, "--out", tmp_path, "--class", name) == 0
        assert f": {name}; " in capsys.readouterr().out


def test_mistakes(run, said):
    image = run.parent / "images" / "0-0.png"
    assert "--class: the model has no 'il'" in said("explain", run, image, "--class", "il")
    assert "--method: there is no 'gradcam'" in said("explain", run, image, "--method", "gradcam")


def test_the_model_and_a_step_are_drawn(run, tmp_path, capsys):
    before = (run / "model.safetensors").read_bytes()
    assert command("draw", run, "--out", tmp_path) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "model.svg"),
        str(tmp_path / "step.svg"),
    ]
    model, step = (ElementTree.parse(tmp_path / f"{n}.svg").getroot() for n in ("model", "step"))
    texts = [text.text for text in model.iter(f"{SVG}text")]
    assert any("FLOPs" in text for text in texts)
    assert any("parameters" in text for text in texts)
    assert [*step.iter(f"{SVG}g")]
    assert (run / "model.safetensors").read_bytes() == before


def test_a_frozen_part_is_drawn_as_it_is_trained(run, tmp_path, capsys):
    """Nothing of it is differentiated, and its batch norm predicts."""
    data = run.parent / "images" / "manifest.csv"
    chosen = ("--model", "small_cnn", "--epochs", "1", "--set", 'transfer.freeze="body"')
    assert command("train", "--data", data, "--out", tmp_path / "run", *chosen) == 0
    assert command("draw", tmp_path / "run") == 0
    model, step = (
        [text.text for text in ElementTree.parse(tmp_path / "run" / name).iter(f"{SVG}text")]
        for name in ("model.svg", "step.svg")
    )
    assert sum("· frozen" in text for text in model) == 4
    assert "0.weight 32×1×3×3 frozen" in step
    assert not [text for text in step if text.startswith(("conv_weight", "10.weight 2×576 frozen"))]
    assert not [text for text in step if "@1.running_mean" in text or "→ 1.running_mean" in text]


def test_the_report_has_a_section(run):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    text = report(run).text["explanations"]
    assert "occlusion" in text and "sanity check passed" in text
