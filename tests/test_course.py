"""The course: every chapter is short, runs, draws its figure, and shows what it says."""

import json
import re
import time

import numpy as np
import pytest
from doc_chapters import COURSE, chapters, drawn, notebook

pytestmark = pytest.mark.skipif(not COURSE.is_dir(), reason="the pages are not here")
LIMIT = 240.0  # seconds for all chapters on two cores


def image(names):
    assert names["image"].shape == (8, 8)


def one_neuron(names):
    accuracies = list(names["accuracies"].values())
    assert accuracies[0] < 0.7 < 0.9 < accuracies[-1]


def slopes(names):
    assert names["slopes"] == pytest.approx(names["measured"], rel=1e-6)


def rates(names):
    last = {rate: path[-1, 1] / path[0, 1] for rate, path in names["paths"].items()}
    assert 0.1 < last[0.01] < 1 and last[0.2] < 1e-6 and last[1.05] > 1


def layers(names):
    line, *_, eight, two_layers = names["accuracies"].values()
    assert line < 0.75 and min(eight, two_layers) > 0.95


def vanishing(names):
    assert names["x"].grad.item() == pytest.approx(names["by_hand"], rel=1e-6)
    share = {name: sizes[0] / sizes[-1] for name, sizes in names["sizes"].items()}
    assert share["sigmoid"] < 1e-8 and min(share["relu"], share["leaky_relu"]) > 1e-1


def overfitting(names):
    plain, *cured = (history[:, 1] for history in names["histories"].values())
    assert plain[-1] > 1.5 * plain.min()
    assert len(cured) == 3 and all(loss[-1] < 0.7 * plain[-1] for loss in cured)


def adam(names):
    far = {name: np.abs(path[-1]).max() for name, path in names["paths"].items()}
    plain = far.pop("plain descent")
    assert all(left < plain for left in far.values())


def filters(names):
    assert names["by_hand"] == pytest.approx(names["maps"][0, 20, 6], abs=1e-5)


def pooling(names):
    change = names["changes"]
    assert change["max of 4 x 4"] < change["max of 2 x 2"] < change["no pooling"]


def transfer(names):
    scratch, *moved = (scores.mean(axis=1) for scores in names["found"].values())
    assert len(moved) == 2 and all((one > scratch + 0.03).all() for one in moved)


def hospitals(names):
    with_marks, without = names["accuracies"]["marks"], names["accuracies"]["no marks"]
    assert with_marks[0] > 0.9 and with_marks[1] < with_marks[0] - 0.1 < without[1]


SHOWN = [image, one_neuron, slopes, rates, layers, vanishing]
SHOWN += [overfitting, adam, filters, pooling, transfer, hospitals]


def test_the_course_has_its_twelve_chapters_in_order():
    numbers = [int(chapter.name[:2]) for chapter in chapters()]
    assert numbers == list(range(1, len(SHOWN) + 1))


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.stem)
def test_a_chapter_is_short_and_in_the_index(chapter):
    assert len(chapter.read_text("utf-8").splitlines()) <= 80
    index = (COURSE / "README.md").read_text("utf-8")
    for target in (chapter.name, f"figures/{chapter.stem}.png", f"notebooks/{chapter.stem}.ipynb"):
        assert f"({target})" in index
        assert (COURSE / target).is_file()


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.stem)
def test_a_notebook_is_its_chapter(chapter):
    stored = (COURSE / "notebooks" / f"{chapter.stem}.ipynb").read_text("utf-8")
    assert stored == notebook(chapter), "run python tests/doc_chapters.py"


@pytest.mark.parametrize("chapter", chapters(), ids=lambda path: path.stem)
def test_a_notebook_begins_with_a_heading_and_draws_in_its_code(chapter):
    cells = json.loads(notebook(chapter))["cells"]
    assert re.match(rf"# {int(chapter.name[:2])}\. ", "".join(cells[0]["source"]))
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    compile("\n".join(code), chapter.name, "exec")
    assert code[-1].endswith("plt.show()")


@pytest.mark.slow
def test_every_chapter_draws_and_shows_what_it_says(tmp_path):
    from PIL import Image

    start = time.perf_counter()
    for chapter, shows in zip(chapters(), SHOWN, strict=True):
        picture = tmp_path / f"{chapter.stem}.png"
        shows(drawn(chapter, picture))
        with Image.open(picture) as opened:
            assert np.asarray(opened.convert("L")).std() > 5, f"{chapter.stem}: the figure is empty"
    assert time.perf_counter() - start < LIMIT
