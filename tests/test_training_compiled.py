"""The training loop with compiled steps: the same curve as without, and the way back from NaN."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import rich.progress
from safetensors.numpy import load_file
from tensorgraph_train import callbacks, prepare, runfile, scores, steps
from training_help import install

import tensorgraph as tg


class Notes:
    """A callback that keeps the loss of each batch, and the weights after the last."""

    def __init__(self):
        self.losses, self.weights = [], {}

    def on_batch(self, run):
        self.losses.append(run.loss_value)
        self.weights = {name: x.numpy() for name, x in run.model.state().items()}


def trained(folder, model="small_cnn", **train):
    """A run on the digits that was trained, and what was noted of it."""
    install()
    table = {"data": {"name": "digits"}, "model": model, "train": {"epochs": 2, **train}}
    settings = prepare.named(runfile.settings(table, {}, "test"))
    with tg.use(dtype=train.get("dtype", "float32")):
        run = prepare.run(settings)
        run.folder, notes = folder, Notes()
        run.callbacks = [notes]
        try:
            run.fit()
        except scores.DivergedError as error:
            notes.error = str(error)
    return run, notes


EVERYTHING = {
    "optimizer": {"name": "adamw", "lr": 0.01},
    "schedule": {"name": "one_cycle"},
    "regularizer": {"name": "l2", "strength": 1e-3},
    "clip_norm": 1.0,
    "clip_value": 0.1,
    "batch_size": 100,
}


@pytest.fixture(scope="module", params=["float32", "float64"])
def eager(request, tmp_path_factory):
    """Batch norm and dropout are in the model; the last batch is smaller."""
    folder = tmp_path_factory.mktemp("eager")
    return request.param, *trained(folder, **EVERYTHING, dtype=request.param, compile=False)


def test_the_curve_is_the_same(eager, tmp_path, compiler):
    dtype, run, notes = eager
    found, noted = trained(tmp_path, **EVERYTHING, dtype=dtype)
    assert len(noted.losses) == len(notes.losses) == 26
    np.testing.assert_allclose(noted.losses[0], notes.losses[0], rtol=1e-6)
    tolerance = 2e-2 if dtype == "float32" else 1e-6  # rounding errors grow from step to step
    np.testing.assert_allclose(noted.losses, notes.losses, rtol=tolerance)
    for mine, other in zip(found.records, run.records, strict=True):
        assert mine["val_accuracy"] == pytest.approx(other["val_accuracy"], abs=0.03)
        assert mine["val_loss"] == pytest.approx(other["val_loss"], rel=3 * tolerance)
        assert mine["lr"] == other["lr"]
    assert noted.losses[-1] < 0.5 * noted.losses[0]


def test_weights_are_those_before_the_loss_was_infinite(tmp_path, compiler):
    """To the bit: each step up to there was done once more from the last checkpoint on."""
    run, notes = trained(tmp_path, "grows", optimizer={"name": "sgd", "lr": 1e-3})
    assert len(notes.losses) == run.progress.batch == 4
    assert "in epoch 1, batch 5 of 20, and the run is stopped: op 'multiply'" in notes.error
    assert "in layer '(model)' (Grows) gave NaN or infinity from float32[64,10]" in notes.error
    for name, x in run.model.state().items():
        assert np.isfinite(x.numpy()).all()
        np.testing.assert_array_equal(x.numpy(), notes.weights[name])


def test_a_loss_that_is_finite_when_it_is_looked_at_again(tmp_path, compiler):
    """A callback has spoilt the weights, and is not asked to do it again."""

    class Spoils(Notes):
        def on_batch(self, run):
            super().on_batch(run)
            if run.progress.batch == 3:
                weight = run.model.inner.weight
                weight.assign(weight.detach() * math.nan)

    install()
    table = {"data": {"name": "digits"}, "model": "small", "train": {"epochs": 1}}
    run = prepare.run(prepare.named(runfile.settings(table, {}, "test")))
    run.folder, run.callbacks = tmp_path, [Spoils()]
    with pytest.raises(scores.DivergedError, match=r"batch 4 of 20.*each op of it was finite when"):
        run.fit()
    assert np.isfinite(run.model.inner.weight.numpy()).all()


@pytest.fixture(params=[False, True], ids=["read at once", "read together"])
def asynchronous(request, monkeypatch):
    """Losses are read many steps later where a backend says that reading waits for a device."""
    monkeypatch.setattr(type(tg.config.get_backend("numpy")), "asynchronous", request.param, False)


def test_nothing_that_is_kept_is_spoilt(tmp_path, compiler, asynchronous):
    run, notes = trained(tmp_path, "grows", epochs=2, optimizer={"name": "sgd", "lr": 1e-4})
    assert not hasattr(notes, "error"), "this one is stable"
    run.lr, run.progress.epoch = 1e3, 1
    with pytest.raises(scores.DivergedError, match=f"weights of epoch . are kept in {tmp_path}"):
        run.fit()
    assert run.progress.epoch == 1 and math.isfinite(run.progress.loss_sum)
    for file in ("model", "checkpoint"):
        for x in load_file(Path(tmp_path, f"{file}.safetensors")).values():
            assert x.dtype.kind != "f" or np.isfinite(x).all()


def test_the_bar_shows_a_loss_once_one_was_read(monkeypatch, tmp_path, asynchronous):
    """``seen`` counts images whose losses were read: on a device none of the first steps'."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    shown = []
    monkeypatch.setattr(
        rich.progress.Progress, "update", lambda bar, task, **told: shown.append(told["figures"])
    )
    install()
    table = {"data": {"name": "digits"}, "model": "small", "train": {"epochs": 1}}
    run = prepare.run(prepare.named(runfile.settings(table, {}, "test")))
    run.folder, run.callbacks = tmp_path, [callbacks.Lines()]
    run.fit()
    late = 15 if run.losses.behind > 1 else 0
    assert [not figures for figures in shown] == [True] * late + [False] * (20 - late)
    assert all(figures.startswith("loss ") for figures in shown[late:])


def noting(losses, counts):
    """``losses.read``, which also notes how many there are to read."""
    read = losses.read

    def run(progress):
        counts.append(len(losses.unread))
        return read(progress)

    return run


def test_losses_are_the_same_however_late_they_are_read(monkeypatch, tmp_path):
    records, waits = [], []
    for later in (False, True):
        monkeypatch.setattr(type(tg.config.get_backend("numpy")), "asynchronous", later, False)
        install()
        table = {"data": {"name": "digits"}, "model": "small", "train": {"epochs": 2}}
        run = prepare.run(prepare.named(runfile.settings(table, {}, "test")))
        run.folder = tmp_path / str(later)
        run.folder.mkdir()
        monkeypatch.setattr(run.losses, "read", noting(run.losses, waits))
        run.fit()
        records.append([(r["loss"], r["val_loss"]) for r in run.records])
    assert records[0] == records[1]
    assert {n for n in waits if n} == {1, 16, 4}  # 20 batches an epoch: 16 and 4


def test_images_are_asked_about_once_by_plans_where_that_pays(monkeypatch, tmp_path, compiler):
    run, _ = trained(tmp_path, "small", epochs=1)
    indices = np.arange(1100)
    asked = []

    def infer(x):
        asked.append(len(x))
        return run.infer(x)

    want, _ = scores.run(run.model, infer, run.feed, indices)
    assert not asked, "so small a model has answered before a plan is made"
    monkeypatch.setattr(steps, "WORK", 0)
    found, _ = scores.run(run.model, infer, run.feed, indices)
    assert asked == [256] * 4
    np.testing.assert_allclose(found, want, atol=1e-6)
    scores.run(run.model, infer, run.feed, indices[:1000])
    assert len(asked) == 4, "three batches are too few"
