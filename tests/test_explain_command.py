"""tensorgraph explain and tensorgraph draw: what they write, say and refuse."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tensorgraph_explain.section
from PIL import Image
from report_help import manifest, report
from scipy import ndimage
from strangers import holding
from tensorgraph_explain.pictures import FAILED
from training_help import command

import tensorgraph as tg

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
        chosen = ("--class", name, "--method", "saliency")
        assert command("explain", run, image, "--out", tmp_path, *chosen) == 0
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
    assert "edges the edges of the image: a control that knows no model 0 of 4" in text


def sobel(model, x, target=None):
    """How steep the image is, whatever the model says of it."""
    return np.hypot(ndimage.sobel(x.numpy(), axis=2), ndimage.sobel(x.numpy(), axis=3))


sobel.explains = "edges, by Sobel's operator"


@pytest.fixture
def stranger():
    """A plugin with a method of its own."""
    if "sobel" not in tg.walks:
        tg.plugins.register(
            holding(register_walks=lambda register: register("sobel", sobel)), "edgy"
        )


def test_an_edge_detector_of_a_plugin_is_said_to_fail(run, tmp_path, capsys, stranger):
    image = run.parent / "images" / "0-0.png"
    assert command("explain", run, image, "--out", tmp_path, "--method", "sobel") == 0
    wanted = "sanity check FAILED: this map does not show the model (rank correlation 1.00)"
    assert capsys.readouterr().out.strip().endswith(wanted)
    with Image.open(tmp_path / "001-0-0-sobel.png") as picture:
        colours = picture.convert("RGB").getcolors(1 << 20)
    assert FAILED in [colour for _, colour in colours]


def test_an_edge_detector_fails_in_the_report(run, stranger, monkeypatch):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    monkeypatch.setattr(tensorgraph_explain.section, "usual", lambda model: ["sobel"])
    text = report(run).text["explanations"]
    assert "The sanity check fails for some of these images with sobel" in text
    assert "sobel edges, by Sobel's operator 0 of 4" in text


def test_nothing_of_the_users_is_written_over(run, tmp_path, said, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = run.parent / "images" / "0-0.png"
    for name, arguments in {
        "001-0-0-edges.png": ("explain", run, image, "--method", "edges"),
        "model.svg": ("draw", run),
    }.items():
        Path(name).write_text("mine")
        assert f"{name} is there already and is not ours" in said(*arguments, "--out", ".")
        assert Path(name).read_text() == "mine"
        Path(name).unlink()
        for _ in range(2):  # over its own
            assert command(*arguments, "--out", ".") == 0


@pytest.mark.parametrize(
    ("labels", "size", "model"),
    [
        (["ill", "well"], (3, 8, 8), "small_cnn"),
        (["dust|gas", "gas"], (1, 8, 8), "mlp"),
        (["1.5", "2.5"], (1, 8, 8), "small_cnn"),
    ],
    ids=["colour", "several labels", "a number"],
)
def test_every_task(labels, size, model, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = ["path,label"]
    for i in range(40):
        grey = np.random.default_rng(i).integers(0, 120, size[::-1]) + 100 * (i % 2)
        Image.fromarray(grey.astype(np.uint8).squeeze()).save(f"{i}.png")
        rows.append(f"{i}.png,{labels[i % 2]}")
    Path("images.csv").write_text("\n".join(rows))
    chosen = ("--model", model, "--epochs", "1", "--set", "train.compile=false", "--out", "run")
    assert command("train", "--data", "images.csv", *chosen) == 0
    capsys.readouterr()
    assert command("predict", "run", "0.png", "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert command("explain", "run", "0.png", "--json") == 0
    explained = {row["class"] for row in json.loads(capsys.readouterr().out)}
    assert len(explained) == 1
    if labels == ["ill", "well"]:
        assert explained == {answer["class"]}, "what predict says is explained"
    assert command("draw", "run") == 0


def test_volumes(tmp_path, capsys, monkeypatch):
    pytest.importorskip("nibabel")
    from medical_help import volumes

    monkeypatch.chdir(tmp_path)
    volumes(Path("data"), n=8)
    chosen = (
        "--model",
        "small_cnn3d",
        "--set",
        "model.filters=[2,4]",
        "--epochs",
        "1",
        "--set",
        "train.compile=false",
    )
    assert command("train", "--data", "data", *chosen, "--out", "run") == 0
    assert command("explain", "run", "data/left/v00.nii.gz") == 0
    assert len([*Path("run/explain").glob("*.png")]) == 3
    assert command("draw", "run") == 0
