"""Learning from images without a label: mean teacher, autoencoder; and what a resumed run keeps."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from scipy.special import softmax
from tensorgraph_labelling.teacher import MeanTeacher
from training_help import Small, command, pictures, train

import tensorgraph as tg
from tensorgraph.errors import ConfigError

FEW = "{name = 'few_labels', share = 0.1, images = 256}"
TEACHER = "{name = 'mean_teacher', decay = 0.9, batch = 32}"
PSEUDO = "{name = 'pseudo_labels', start = 1, threshold = 0.2}"
AVERAGE = "{name = 'weight_average', start = 0}"
REBUILT = "{name = 'reconstruction', batch = 32}"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run


def asked(*callbacks, **settings):
    settings = {"train.callbacks": f"['history', {', '.join(callbacks)}]"} | settings
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def trained(*arguments, out="out", status=0):
    assert command(*train("--data", "digits", "--out", out, *arguments)) == status
    path = Path(out, "model.safetensors")
    return load_file(path) if path.exists() else None


def history(out="out"):
    return [json.loads(x) for x in Path(out, "history.jsonl").read_text().splitlines()]


def test_the_teacher_that_is_kept_is_the_moving_average_of_the_model(monkeypatch):
    own = []

    def keep(self, run, *_):
        own.append({k: x.numpy() for k, x in run.model.state().items()})

    monkeypatch.setattr("training_help.Waits.on_start", keep, raising=False)
    monkeypatch.setattr("training_help.Waits.on_batch", keep)
    kept = trained(*asked(FEW, TEACHER, "'waits'"))
    assert len(own) == 5
    for name, x in kept.items():
        teacher = own[0][name]
        for step, state in enumerate(own[:-1]):
            decay = min(1 - 1 / (step + 1), 0.9)
            teacher = decay * teacher + (1 - decay) * state[name]
        assert x == pytest.approx(teacher, abs=1e-6)
        assert np.abs(x - own[-1][name]).max() > 1e-4


def test_what_the_teacher_asks_of_the_model():
    """The mean squared difference of probabilities; it has a slope for the model alone."""
    x, other = np.random.default_rng(0).normal(size=(2, 6, 12))
    tg.seed(0)
    model, callback = Small(4, 5), MeanTeacher()
    callback.teacher = Small(4, 5).freeze()
    for layer in (model, callback.teacher):
        layer(tg.tensor(x))
    numbers = (tg.tensor(3.0, dtype="float64"), tg.tensor(1.0, dtype="float64"))
    given = SimpleNamespace(model=model)
    loss = callback.extra_loss(given, tg.tensor(x), tg.tensor(other), *numbers)

    def said(layer, x):
        own = [parameter.numpy() for parameter in layer.parameters()]
        return softmax(np.tanh(x @ own[0]) @ own[1], axis=1)

    wanted = 3 * np.mean((said(model, x) - said(callback.teacher, other)) ** 2)
    assert loss.item() == pytest.approx(wanted, rel=1e-9)
    loss.backward()
    assert all(np.abs(parameter.grad.numpy()).max() > 0 for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in callback.teacher.parameters())


def test_the_teachers_weight_rises_and_both_see_images_of_their_own(monkeypatch):
    seen = []
    real = MeanTeacher.extra_inputs

    def watch(self, run):
        inputs = real(self, run)
        seen.append([x.numpy() for x in inputs])
        assert (
            run.images(np.arange(3), 1)[0].numpy() == run.images(np.arange(3), 1)[0].numpy()
        ).all()
        return inputs

    monkeypatch.setattr(MeanTeacher, "extra_inputs", watch)
    more = {"train.epochs": 4, "train.augment": "[{name = 'affine'}]"}
    trained(*asked(FEW, "{name = 'mean_teacher', weight = 8, ramp = 0.5}", **more))
    steps = np.arange(16) / 16
    wanted = 8 * np.exp(-5 * np.maximum(0, 1 - steps / 0.5) ** 2)
    assert [float(x[2]) for x in seen] == pytest.approx(wanted.tolist(), rel=1e-5)
    assert all(np.abs(one - other).max() > 0.1 for one, other, *_ in seen)
    assert len({x[0].tobytes() for x in seen}) == 16


@pytest.mark.parametrize("callback", [PSEUDO, TEACHER, AVERAGE])
def test_a_run_resumed_in_the_middle_of_an_epoch_ends_as_if_it_had_not_stopped(callback, capsys):
    more = {"train.epochs": 4, "model.rate": 0.3, "train.checkpoint_every": 0}
    more["train.augment"] = "[{name = 'affine'}]"
    whole = trained(*asked(FEW, callback, **more), out="whole")
    stops = "{name = 'stops', epoch = 2, at = 2}"
    trained(*asked(FEW, callback, stops, **more), status=130)
    path = Path("out/run.toml")
    path.write_text(path.read_text("utf-8").replace("at = 2", "at = 10000"), "utf-8")
    assert command("train", "--out", "out", "--resume") == 0
    again = load_file("out/model.safetensors")
    assert all((whole[name] == again[name]).all() for name in whole)
    assert [x["loss"] for x in history("whole")] == [x["loss"] for x in history()]


@pytest.mark.parametrize("callback", [TEACHER, REBUILT])
def test_a_planned_step_computes_what_callbacks_add(callback):
    model = {"model.name": "autoencoder", "model.filters": 4} if callback == REBUILT else {}
    model |= {"train.loss.label_smoothing": 0.1, "data.val": 0}
    losses = []
    for planned in ("true", "false"):
        more = {"train.epochs": 2, "train.compile": planned, **model}
        trained(*asked(FEW, callback, **more), out=planned)
        losses.append([x["loss"] for x in history(planned)])
    assert losses[0] == pytest.approx(losses[1], rel=2e-4)


def test_an_encoder_learns_nothing_from_labels_and_another_model_goes_on_with_it():
    model = {"model.name": "autoencoder", "model.filters": 8, "train.epochs": 3}
    trained(*asked(REBUILT, **model), out="one")
    trained("--control", *asked(REBUILT, **model), out="permuted")
    one, permuted = (Path(x, "encoder.safetensors") for x in ("one", "permuted"))
    body = {k: x for k, x in load_file(one).items() if not k.startswith("10.")}
    other = load_file(permuted)
    assert len(body) > 6 and all((other[name] == x).all() for name, x in body.items())
    losses = [x["loss"] - x["val_loss"] for x in history("one")]
    assert losses[-1] < losses[0], "the probe's own loss aside"
    moved = {"transfer.weights": one, "transfer.freeze": "body", "model.name": "small_cnn"}
    found = trained(*asked(FEW, **moved), out="moved")
    assert all((found[name] == x).all() for name, x in body.items())
    assert tg.plugins.walk("trained", Path("one")).features(np.arange(5)).shape == (5, 256)


def test_an_image_is_rebuilt_in_its_size():
    model = tg.models.autoencoder(3, filters=4, doublings=3)
    x = tg.tensor(np.random.default_rng(0).normal(size=(2, 3, 30, 21)).astype("float32"))
    assert model(x).shape == (2, 3)
    assert model.reconstruct(x).shape == x.shape
    with pytest.raises(ConfigError, match=r"--set model\.doublings=3"):
        tg.models.autoencoder(3)(x)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("mean_teacher: weight=0", asked(FEW, "{name = 'mean_teacher', weight = 0}")),
        ("it trains an autoencoder: --model autoencoder", asked("'reconstruction'")),
        ("noise=-1", asked("{name = 'reconstruction', noise = -1}")),
        ("resnet18 is no sequence of layers", asked("'history'", **{
            "model.name": "autoencoder", "model.model": "resnet18"})),
    ],
)  # fmt: skip
def test_a_mistake_is_said(words, arguments, capsys):
    trained(*arguments, status=2)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("cache", [1.0, 0.0])
def test_images_that_nobody_has_labelled_are_learnt_from(cache, monkeypatch):
    """Eight bits beside sixteen, read at once or when they are needed, joined to a folder of two
    classes."""
    pictures("films", "dark", "light", n=20)
    Path("more").mkdir()
    for name in ("dark", "light"):
        for path in Path("films", name).iterdir():
            grey = np.asarray(Image.open(path)).astype(np.uint16) * 257
            Image.fromarray(grey).save(Path("more", f"{name}-{path.name}"))
    seen = []

    def watch(self, run, record):
        given = run.feed.dataset.labels[run.train_indices]
        new = run.train_indices >= 40
        seen.append((given[new], run.feed.images(run.train_indices[new]).numpy().mean((1, 2, 3))))

    monkeypatch.setattr("training_help.Waits.on_epoch", watch, raising=False)
    unlabelled = "{name = 'unlabelled', images = ['more']}"
    more = {"train.epochs": 12, "train.batch_size": 8, "data.cache": cache, "data.val": 0}
    guesses = PSEUDO.replace("0.2", "0.6")
    listed = asked(unlabelled, guesses, "'waits'", TEACHER, **more)
    assert command("train", "--data", "films", "--model", "small", "--out", "out", *listed) == 0
    labels, brightness = seen[-1]
    assert len(labels) > 10
    assert brightness[labels == 1].min() > brightness[labels == 0].max(), (
        "the new ones, as they are"
    )
