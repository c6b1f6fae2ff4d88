"""Training with augmentation: run files, resumption, mixed labels, views, the picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tensorgraph_train import augment, runfile
from tensorgraph_train.augment import Augmentations
from tensorgraph_train.runfile import Named
from training_help import command

import tensorgraph as tg
from tensorgraph.errors import ConfigError

CHANGES = '[{name = "affine"}, {name = "gaussian_noise", std = 0.05}, {name = "mixup"}]'
RUN = f"""
[data]
name = "digits"
[model]
name = "small"
[train]
epochs = 2
augment = {CHANGES}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run
    Path("run.toml").write_text(RUN)


def weights(out):
    return Path(out, "model.safetensors").read_bytes()


def test_a_run_that_is_stopped_and_resumed_is_the_same(capsys):
    assert command("train", "run.toml", "--out", "whole") == 0
    assert command("train", "run.toml", "--out", "other", "--seed", "1") == 0
    options = ("--out", "out", "--set", "train.checkpoint_every=0")
    stops = "train.callbacks=['history', {name='stops', epoch=1, at=3}]"
    assert command("train", "run.toml", *options, "--set", stops) == 130
    text = Path("out/run.toml").read_text()
    text = text.replace('{name = "stops", epoch = 1, at = 3}', '{name = "progress"}')
    Path("out/run.toml").write_text(text)
    assert command("train", "--resume", "--out", "out") == 0
    history = [json.loads(line) for line in Path("out/history.jsonl").read_text().splitlines()]
    whole = [json.loads(line) for line in Path("whole/history.jsonl").read_text().splitlines()]
    assert [row["loss"] for row in history] == [row["loss"] for row in whole]
    want, found = (load_file(f"{out}/model.safetensors") for out in ("whole", "out"))
    assert all(np.array_equal(found[name], value) for name, value in want.items())
    assert weights("other") != weights("whole")
    stored = runfile.settings(runfile.read(Path("out/run.toml")), {}, "")
    assert stored.train.augment[1] == Named("gaussian_noise", {"std": 0.05})
    assert stored.train.augment[2] == Named("mixup", {"alpha": 0.2})
    assert stored.train.augment[0].options["degrees"] == 10.0


def test_compiled_and_not_give_the_same_curve():
    for wanted in ("true", "false"):
        options = ("--set", f"train.compile={wanted}", "--out", wanted)
        assert command("train", "run.toml", *options) == 0
    compiled, plain = (
        [json.loads(line)["loss"] for line in Path(out, "history.jsonl").read_text().splitlines()]
        for out in ("true", "false")
    )
    np.testing.assert_allclose(compiled, plain, rtol=1e-3)


def test_keys_depend_on_seed_epoch_and_sample():
    first = augment.keys(2**40 + 5, 3, np.array([7, 8])).numpy()
    assert first.dtype == np.uint32
    np.testing.assert_array_equal(first[1], augment.keys(2**40 + 5, 3, np.array([8])).numpy()[0])
    others = [augment.keys(5, 3, np.array([7])), augment.keys(2**40 + 5, 4, np.array([7]))]
    assert all((first[0] != other.numpy()[0]).any() for other in others)


def test_an_image_that_comes_again_is_another_sample():
    assert augment.repeats(np.array([5, 3, 5, 5, 3, 9])).tolist() == [0, 0, 1, 2, 1, 0]


def mixed(labels, classes):
    x = tg.tensor(np.random.default_rng(0).random((6, 1, 4, 4)).astype(np.float32))
    change = Augmentations([Named("mixup", {"alpha": 1.0})], (0.0,), (1.0,), classes)
    return change(x, tg.tensor(labels), augment.keys(0, 0, np.arange(6)))[1].numpy()


def test_labels_are_mixed_as_the_images_are():
    numbers = np.arange(6) % 3
    found = mixed(numbers, 3)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    several = np.eye(3, dtype=np.float32)[numbers]
    np.testing.assert_allclose(mixed(several, 3), found, atol=1e-6)
    ages = numbers[:, None].astype(np.float32)
    np.testing.assert_allclose(mixed(ages, 1), found @ np.arange(3)[:, None], atol=1e-5)


def test_values_are_between_black_and_white_for_an_augmentation():
    """Standardised images are turned back, changed, and standardised again."""
    raw = np.random.default_rng(0).random((3, 2, 4, 4)).astype(np.float32)
    mean, std = (0.3, 0.6), (0.2, 0.5)
    shape = (1, 2, 1, 1)
    scaled = (raw - np.reshape(mean, shape)) / np.reshape(std, shape)
    change = Augmentations([Named("gamma", {"strength": 1.0})], mean, std, 2)
    plain = Augmentations([Named("gamma", {"strength": 1.0})], (0.0, 0.0), (1.0, 1.0), 2)
    keys = augment.keys(0, 0, np.arange(3))
    found = change.images(tg.tensor(scaled.astype(np.float32)), keys).numpy()
    want = plain.images(tg.tensor(raw), keys).numpy()
    np.testing.assert_allclose(found * np.reshape(std, shape) + np.reshape(mean, shape), want,
                               atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("name", ["flip_horizontal", "flip_vertical", "colour_jitter"])
def test_what_asks_for_care_is_chosen_knowingly(name):
    with pytest.raises(ConfigError) as error:
        augment.resolve(Named(name))
    assert f"train.augment: {name} asks to be chosen knowingly: it " in str(error.value)
    assert f'{{name = "{name}", knowingly = true}}' in str(error.value)
    assert augment.resolve(Named(name, {"knowingly": True})).options["knowingly"] is True


def test_mistakes_in_a_run_file(capsys):
    for changes, message in (
        ('["flip_horizontal"]', "it exchanges left and right: on a chest film"),
        ('[{name = "rotate", angle = 3}]', "augmentation 'rotate' has no option 'angle'"),
        ('["rotatte"]', "did you mean 'rotate'"),
        ('[{name = "flip_vertical", knowingly = 1}]', "train.augment.knowingly = 1; it takes true"),
    ):
        assert command("train", "run.toml", "--set", f"train.augment={changes}") == 2
        assert message in " ".join(capsys.readouterr().err.split())
    colours = 'train.augment=[{name = "colour_jitter", knowingly = true}]'
    assert command("train", "run.toml", "--set", colours, "--out", "out") == 2
    assert "takes images in colour, with 3 channels" in capsys.readouterr().err
    assert not Path("out").exists()


def test_views(capsys):
    assert command("train", "run.toml", "--out", "out") == 0
    capsys.readouterr()
    assert command("evaluate", "out", "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    found = []
    for _ in range(2):
        assert command("evaluate", "out", "--json", "--views", "4") == 0
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert found[0]["views"] == 4 and "views" not in plain
    assert found[0]["metrics"] != plain["metrics"]
    pixels = np.random.default_rng(0).integers(0, 255, (2, 8, 8)).astype(np.uint8)
    for i in range(2):
        Image.fromarray(pixels[i]).save(f"{i}.png")
    probabilities = []
    for asked in (["0.png"], ["1.png", "0.png"]):
        assert command("predict", "out", *asked, "--json", "--views", "4") == 0
        probabilities.append(json.loads(capsys.readouterr().out)[-1]["probabilities"])
    for name, p in probabilities[0].items():
        assert p == pytest.approx(probabilities[1][name], abs=1e-5)


def test_views_of_a_run_without_augmentation(capsys):
    assert command("train", "run.toml", "--set", "train.augment=[]", "--out", "out") == 0
    assert command("evaluate", "out", "--views", "4") == 2
    assert "there are no other views of an image" in " ".join(capsys.readouterr().err.split())


def test_the_picture_of_augmentations(capsys):
    assert command("show", "augmentations", "run.toml", "--samples", "5") == 0
    assert "3 augmentations on 5 images: augmentations.png" in capsys.readouterr().out
    sheet = np.asarray(Image.open("augmentations.png").convert("L"))
    first, second = (sheet[top + 16 : top + 112, 4:500] for top in (0, 116))
    assert first.std() > 10
    assert (first != second).mean() > 0.05
    Path("run.toml").write_text('[data]\nname = "digits"\n')
    assert command("show", "augmentations", "run.toml") == 2
    assert "train.augment names none; known: affine, " in capsys.readouterr().err
    assert command("show", "filters", "run.toml") == 2
    assert "show filters: it shows augmentations" in capsys.readouterr().err
