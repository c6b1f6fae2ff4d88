"""tensorgraph shift: the changes, a planted marker, a site told from the image, what bears what."""

import json
import sys

import numpy as np
import pytest
from tensorgraph_study import changes
from tensorgraph_study.shift import probe
from training_help import command, install

import tensorgraph as tg

N, SIDE = 400, 16
BLOBS = 24  # how much brighter the middle of an ill image is: hard to tell under noise of 40


class Scans:
    """Two classes that differ in the middle; on demand a bright corner in one of them, or in the
    images of one site."""

    reads = ""

    def accepts(self, path):
        return False

    def load(self, path, *, marked="", **options):
        generator = np.random.default_rng(0)
        labels = np.arange(N) % 2
        patients = np.arange(N) // 2 // 2
        site = (patients % 2).astype(int)
        images = generator.normal(90, 40, (N, 1, SIDE, SIDE))
        images[labels == 1, :, 5:11, 5:11] += BLOBS
        where = {"class": labels == 1, "site": site == 1, "": np.zeros(N, bool)}[marked]
        images[where, :, :2, -2:] = 255
        splits = {"train": np.arange(200), "val": np.arange(200, 280), "test": np.arange(280, N)}
        columns = {"hospital": np.where(site, "north", "south"), "age": np.linspace(20, 80, N)}
        pixels = np.clip(images, 0, 255).astype(np.uint8)
        return tg.Dataset(
            "scans", pixels, 255, labels, ("healthy", "ill"), splits, patients, columns
        )


class Plugin:
    @staticmethod
    @tg.hookimpl
    def register_datasets(register):
        register("scans", Scans())


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    install()
    if "scans" not in tg.datasets:
        tg.plugins.register(Plugin, "shift-help")
    folder, found = tmp_path_factory.mktemp("shift"), {}
    for marked in ("", "class", "site"):
        run = folder / (marked or "plain")
        options = ["--data", "scans", "--model", "mlp", "--epochs", "12", "--out", run]
        options += ["--set", "data.mixed_groups=true"]
        plant = ("--set", f"data.options={{marked='{marked}'}}", "--set", "train.compile=false")
        assert command("train", *options, *plant) == 0
        assert command("shift", run) == 0
        found[marked] = json.loads((run / "shift.json").read_text())
    return folder, found


def row(found, change, strength=""):
    rows = [*found["changes"], *found["hidden"]]
    return next(r for r in rows if r["change"] == change and r["strength"].startswith(strength))


def test_a_marker_in_one_class_is_found_where_it_is(probed):
    found = probed[1]["class"]
    assert found["unchanged"]["value"] > 0.99
    assert row(found, "top right corner")["value"] < 0.95
    assert any("reads the top right corner" in text for text in found["findings"])
    assert not any("bottom left" in text for text in found["findings"])


def test_without_a_marker_no_corner_matters(probed):
    found = probed[1][""]
    assert found["unchanged"]["value"] > 0.7
    assert not any("corner" in text for text in found["findings"])
    assert row(found, "all but the border")["value"] < 0.65, "the middle is what it is about"


def test_a_site_is_told_from_the_image_where_it_leaves_a_mark(probed):
    (told,) = probed[1]["site"]["sites"]
    assert told["column"] == "hospital"
    assert told["low"] > 0.9
    assert told["within_classes"] > 0.9
    assert any(
        "hospital can be told from the image" in text for text in probed[1]["site"]["findings"]
    )
    (plain,) = probed[1][""]["sites"]
    assert plain["low"] < 0.5 < plain["high"]
    assert not any("told from the image" in text for text in probed[1][""]["findings"])


def test_figures_by_site(probed):
    found = probed[1][""]
    assert {*found["unchanged"]["by"]["hospital"]} == {"north", "south"}
    assert {*row(found, "noise")["by"]["hospital"]} == {"north", "south"}


def test_stronger_changes_cost_more(probed):
    found = probed[1][""]
    lost = [-r["difference"] for r in found["changes"] if r["change"] == "noise"]
    assert lost[0] < lost[-1]
    assert all(r["low"] <= r["difference"] <= r["high"] for r in found["changes"])


def test_the_table_fits(probed, capsys):
    assert command("shift", probed[0] / "site", "--by", "hospital") == 0
    out = capsys.readouterr().out
    assert "hospital told from the image:" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 100
    assert command("shift", probed[0] / "site", "--by", "clinic") == 2
    assert "--by clinic: scans has no such column; it has: hospital, age" in capsys.readouterr().err


def test_where_the_figure_is_not_defined_it_is_said(probed):
    run = tg.plugins.walk("trained", probed[0] / "plain")
    name, indices = run.split(None)
    healthy = indices[run.feed.dataset.labels[indices] == 0]
    with pytest.raises(tg.errors.ConfigError, match="auc is not defined on the 60 images of test"):
        probe(run, healthy, name, None)


def test_without_scikit_learn_the_extra_is_named(probed, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert command("shift", probed[0] / "plain") == 2
    assert "pip install 'tensorgraph[study]'" in capsys.readouterr().err


def applied(name, strength, x):
    (change,) = [
        c
        for c in (*changes.changes(), *changes.hidden())
        if (c.name, c.strength.startswith(strength)) == (name, True)
    ]
    return change.apply(x, np.arange(len(x)))


@pytest.mark.parametrize("shape", [(3, 1, 16, 16), (3, 1, 20, 28), (2, 1, 6, 16, 16)])
def test_every_change_keeps_the_shape_and_what_is_even(shape):
    even = np.full(shape, 0.25)
    for change in (*changes.changes(), *changes.hidden()):
        out = change.apply(even, np.arange(len(even)))
        assert out.shape == shape, change.name
        if change.name in ("contrast", "blur", "resolution") or "corner" in change.name:
            np.testing.assert_allclose(out, 0.25, atol=1e-12, err_msg=change.name)


def test_changes_do_what_they_say():
    x = np.random.default_rng(0).random((4, 1, 32, 32))
    assert applied("contrast", "× 0.5", x).std() == pytest.approx(x.std() / 2, rel=0.05)
    np.testing.assert_allclose(applied("darker", "gamma 2", x), x**2)
    assert (applied("noise", "sd 0.1", x) - x).std() == pytest.approx(0.1, rel=0.05)
    blurred = applied("blur", "sd 4%", x)
    assert blurred.std() < x.std() / 3
    assert blurred.mean() == pytest.approx(x.mean(), rel=0.02)
    corner = applied("bottom left corner", "", x)
    assert (corner[:, :, 24:, :8] == np.median(x.reshape(4, -1), 1)[:, None, None, None]).all()
    np.testing.assert_array_equal(corner[:, :, :24], x[:, :, :24])
    border = applied("border", "", x)
    np.testing.assert_array_equal(border[:, :, 4:28, 4:28], x[:, :, 4:28, 4:28])


def test_blur_and_resolution_agree_with_scipy_and_pillow():
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    x = np.random.default_rng(1).random((1, 1, 64, 64))
    want = gaussian_filter(x[0, 0], 0.04 * 64, truncate=8)
    middle = slice(16, 48)  # edges are treated otherwise
    np.testing.assert_allclose(
        applied("blur", "sd 4%", x)[0, 0, middle, middle], want[middle, middle], atol=1e-3
    )
    small = Image.fromarray(x[0, 0].astype("f4")).resize((32, 32), Image.Resampling.BOX)
    back = np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(applied("resolution", "1 / 2", x)[0, 0], back, atol=1e-5)


def test_noise_does_not_depend_on_the_batch():
    x = np.zeros((4, 1, 8, 8))
    (noise, *_) = [c for c in changes.changes() if c.name == "noise"]
    whole = noise.apply(x, np.arange(4))
    np.testing.assert_array_equal(noise.apply(x[2:], np.array([2, 3])), whole[2:])
