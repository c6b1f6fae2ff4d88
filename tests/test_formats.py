"""Formats of plugins, from the suffix to a prediction; two that claim the same files."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from doc_blocks import blocks
from PIL import Image
from tensorgraph_vision.formats import Formats
from training_help import command, train

import tensorgraph as tg
from tensorgraph.errors import DataError, PluginError

PAGE = Path(__file__).parents[1] / "docs" / "extending" / "formats.md"


@pytest.fixture
def graymap(monkeypatch):
    """The page's format, registered."""
    (block,) = blocks(PAGE, "python")
    space = {"__name__": "page"}
    exec(block.code, space)
    monkeypatch.setattr(tg, "formats", {**tg.formats, "graymap": space["Graymap"]()})
    return space["Graymap"]


def graymaps(folder, n=12):
    for i, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for j in range(n):
            pixels = np.random.default_rng(100 * i + j).integers(0, 8, (6, 5)) + 7 * i
            text = b"P5 5 6 15\n" + pixels.astype(np.uint8).tobytes()
            (folder / name / f"{j}.pgm").write_bytes(text)
    return folder


def test_a_strangers_format_is_trained_on_evaluated_and_predicted(
    graymap, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    graymaps(tmp_path / "data")
    assert command(*train("--data", "data", "--epochs", "20")) == 0
    assert command("evaluate", "out") == 0
    capsys.readouterr()
    images = ["data/cat/0.pgm", "data/dog/0.pgm"]
    assert command("predict", "out", *images, "--json") == 0
    assert [row["class"] for row in json.loads(capsys.readouterr().out)] == ["cat", "dog"]


def test_whites_that_differ_are_brought_to_one(graymap, tmp_path):
    data = graymaps(tmp_path / "data")
    (data / "cat" / "0.pgm").write_bytes(b"P5 5 6 255\n" + bytes(range(0, 240, 8)))
    dataset = tg.datasets["folder"].load(data)
    assert dataset.white == 255
    assert np.array_equal(dataset.images[0, 0].ravel(), np.arange(0, 240, 8))
    pixels = np.random.default_rng(1).integers(0, 8, (6, 5))
    assert np.array_equal(dataset.images[1, 0], pixels * 17)


def test_a_format_whose_pixels_are_not_what_its_header_says(graymap, tmp_path, monkeypatch):
    data = graymaps(tmp_path / "data")
    monkeypatch.setattr(graymap, "pixels", lambda *a: np.zeros((3, 3), np.uint8))
    with pytest.raises(DataError, match=r"the format gave uint8\[3, 3\] after a header that says"):
        tg.datasets["folder"].load(data)


def test_two_formats_of_one_suffix(graymap, monkeypatch):
    class Other(graymap):
        suffixes = (".pgm", ".pnm")

    class Plugin:
        @staticmethod
        @tg.hookimpl
        def register_formats(register):
            register("graymap", graymap())
            register("netpbm", Other())

    plugins = type(tg.plugins)()
    plugins.register(Plugin, "acme")
    monkeypatch.setattr(tg, "formats", plugins.formats)
    with pytest.raises(PluginError) as error:
        Formats()
    assert str(error.value) == (
        ".pgm files are read by two formats, 'graymap' and 'netpbm'; leave one out: "
        "TENSORGRAPH_DISABLE_PLUGINS=acme"
    )


def test_the_longest_suffix_decides_and_then_the_content(tmp_path, graymap):
    class Whole(graymap):
        suffixes = (".pgm.gz",)

        def accepts(self, path):
            return path.is_file() and path.read_bytes().startswith(b"P5")

    tg.formats["whole"] = Whole()
    known = Formats()
    assert known.of(Path("A.B.PGM.GZ")) is tg.formats["whole"]
    assert known.of(Path("1.2.pgm")) is tg.formats["graymap"]
    (tmp_path / "scan").write_bytes(b"P5 ...")
    assert known.of(tmp_path / "scan") is tg.formats["whole"]
    assert known.of(tmp_path / "not there") is None and known.of(tmp_path) is None
    (tmp_path / "x.txt").write_text("notes")
    with pytest.raises(DataError, match=r"x.txt is of no kind that is read: .*png, .*pgm"):
        tg.datasets.image.load(tmp_path / "x.txt")


def test_registering_imports_no_reader():
    """The packages behind the formats are slow to import, and not needed by who has no such file"""
    program = (
        "import sys, tensorgraph as tg; [*tg.formats]\n"
        "print([n for n in ('numpy', 'PIL', 'pydicom', 'nibabel') if n in sys.modules])\n"
        "from tensorgraph_vision.formats import Formats; Formats()\n"
        "print([n for n in ('pydicom', 'nibabel') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n[]\n", done.stderr


def test_measured_values_and_counted_ones_do_not_mix(graymap, tmp_path, monkeypatch):
    graymaps(tmp_path / "data")
    Image.fromarray(np.zeros((6, 5), np.uint8)).save(tmp_path / "data" / "cat" / "x.png")
    header = graymap.header
    monkeypatch.setattr(
        graymap, "header", lambda self, path: header(self, path)._replace(dtype="float32")
    )
    with pytest.raises(DataError, match=r"cat/0.pgm has float32 values and cat/x.png uint8, which"):
        tg.datasets["folder"].load(tmp_path / "data")
