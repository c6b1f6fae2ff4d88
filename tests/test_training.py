"""The training loop: order, standardisation, the best epoch, early stopping, NaN, resuming."""

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tensorgraph_train import feed, prepare, runfile, shares, storage
from tensorgraph_train.runfile import Named, Settings
from training_help import command, train

import tensorgraph as tg

SMALL = ("train", "--model", "small", "--epochs", "2")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")  # or the kernels would change within a run


def trained(*arguments, out="out", status=0):
    assert command(*SMALL, "--out", out, *arguments) == status
    return load_file(f"{out}/model.safetensors") if status == 0 else None


def history(out="out"):
    return [json.loads(line) for line in Path(out, "history.jsonl").read_text().splitlines()]


def made(tmp_path, **train):
    """A run on the digits that has not begun."""
    command("--help")
    settings = runfile.settings(
        {"data": {"name": "digits"}, "model": "small", "train": train}, {}, "test"
    )
    run = prepare.run(prepare.named(settings))
    run.folder = tmp_path
    return run


def test_order_depends_on_seed_and_epoch_alone():
    a = feed.order(100, 3, 7)
    tg.seed(1234)
    np.testing.assert_array_equal(a, feed.order(100, 3, 7))
    np.testing.assert_array_equal(np.sort(a), np.arange(100))
    assert (a != feed.order(100, 3, 8)).any()
    assert (a != feed.order(100, 4, 7)).any()
    assert (a != feed.order(100, 3 + 2**40, 7)).any(), "all bits of the seed count"


def test_images_are_standardised_by_the_training_split(tmp_path):
    run = made(tmp_path)
    digits = run.feed.dataset
    x = digits.images[digits.splits["train"]] / digits.white
    np.testing.assert_allclose(run.card.mean, x.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(run.card.std, x.std((0, 2, 3)), rtol=1e-9)
    batch = run.feed.images(digits.splits["train"]).numpy()
    assert batch.dtype == np.float32
    assert abs(batch.mean()) < 1e-5
    assert batch.std() == pytest.approx(1, abs=1e-5)


def test_nan_in_the_data_is_named():
    images = np.zeros((4, 1, 2, 2), np.float32)
    images[2, 0, 1, 1] = np.nan
    names = tuple(f"picture {i}" for i in range(4))
    data = tg.Dataset("mine", images, 1.0, np.zeros(4, int), ("a", "b"), {}, names=names)
    found = feed.Feed(data, (0.0,), (1.0,), "float32")
    with pytest.raises(tg.errors.DataError, match="mine: picture 2 has NaN or infinity"):
        found.images(np.array([0, 1, 2]))


def test_a_run_folder_is_complete():
    trained()
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "audit.json",
        "checkpoint.safetensors",
        "evaluation.json",
        "history.jsonl",
        "model.safetensors",
        "predictions.csv",
        "provenance.json",
        "run.toml",
        "split.csv",
    ]
    settings = runfile.settings(runfile.read(Path("out/run.toml")), {}, "out")
    assert settings.train.optimizer.options["betas"] == [0.9, 0.999], "options are written out"
    assert settings.model == Named("small", {"hidden": 24, "scale": 0.1, "rate": 0.0})
    evaluation = json.loads(Path("out/evaluation.json").read_text())
    assert (evaluation["split"], evaluation["n"]) == ("test", 359)
    for name in ("accuracy", "auc", "macro_f1"):
        row = evaluation["metrics"][name]
        assert row["low"] < row["value"] < row["high"]
    assert np.sum(evaluation["confusion"]["counts"]) == 359


def test_run_toml_trains_the_same_again():
    first = trained()
    assert command("train", "out/run.toml", "--out", "again") == 0
    for name, value in load_file("again/model.safetensors").items():
        np.testing.assert_array_equal(value, first[name])


def test_the_best_epoch_is_kept_as_a_copy():
    steady = ("--set", "train.schedule=constant")
    best = trained("--set", "train.metric=doubt", "--epochs", "4", *steady)
    after_one = trained("--epochs", "1", *steady, out="one")
    values = [row["val_doubt"] for row in history()]
    assert values == sorted(values, reverse=True), "the first epoch is the best"
    for name, value in after_one.items():
        np.testing.assert_array_equal(best[name], value)


def test_equal_epochs_are_decided_by_the_loss(tmp_path):
    run = made(tmp_path, metric="accuracy", epochs=1)
    run.validate()
    first = run.progress.best_loss
    run.progress.epoch, run.progress.best_loss = 1, first + 1
    run.validate()
    assert (run.progress.best_epoch, run.progress.best_loss) == (2, first)


def test_early_stopping(capsys):
    trained("--set", "train.metric=doubt", "--set", "train.patience=3", "--epochs", "50")
    assert len(history()) == 4
    assert "epoch 1, the best by doubt (early stopping)" in capsys.readouterr().out


def test_early_stopping_without_validation(capsys):
    trained("--set", "data.val=0", "--set", "train.patience=3", status=2)
    error = capsys.readouterr().err
    assert "train.patience: without validation images nothing says when to stop" in error


def test_without_validation_the_last_epoch_is_kept():
    trained("--set", "data.val=0")
    assert "val_loss" not in history()[0]
    assert json.loads(Path("out/evaluation.json").read_text())["n"] == 359


def test_schedule_goes_by_fractions_of_an_epoch():
    trained("--set", "train.schedule=cosine", "--set", "train.optimizer.lr=0.01")
    batches = 20  # 1,259 images by 64
    want = 0.005 * (1 + np.cos(np.pi * (2 - 1 / batches) / 2))
    assert history()[-1]["lr"] == pytest.approx(want, rel=1e-12)


def test_regularizer_is_part_of_the_loss():
    options = ("--set", "train.batch_size=2000", "--epochs", "1")
    trained(*options, out="plain")
    trained(*options, "--set", "train.regularizer={name='l2', strength=0.5}")
    run = made(Path(), epochs=1)
    squares = sum(float((w.numpy() ** 2).sum()) for w in run.model.parameters())
    gap = history()[0]["loss"] - history("plain")[0]["loss"]
    assert gap == pytest.approx(0.5 * squares, rel=1e-4)


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_a_loss_that_is_nan_names_the_op_and_its_layer(compiled, capsys):
    options = ("--set", "model.name=explodes", "--set", f"train.compile={compiled}")
    trained(*options, status=2)
    error = capsys.readouterr().err
    assert "the loss is nan in epoch 1, batch 1 of 20, and the run is stopped" in error
    assert "op 'log' in layer '(model)' (Explodes) gave NaN or infinity" in error
    assert "its inputs were finite" in error
    assert "Lower train.optimizer.lr (it is 0.002) or set train.clip_norm" in error


def test_weights_spoilt_by_an_update_are_named(capsys):
    trained("--set", "train.optimizer={name='sgd', lr=1e39}", status=2)
    error = capsys.readouterr().err
    assert "epoch 1, batch 2 of 20" in error or "epoch 1, batch 3 of 20" in error
    assert "since the update before" in error


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_spoilt_by_the_last_update_are_not_evaluated(capsys):
    """Only what comes after the loss of the last batch sees them."""
    lr = ("--set", "train.optimizer.lr=1e38", "--set", "train.batch_size=2000")
    for more in ((), ("--set", "data.val=0")):
        out = f"out{len(more)}"
        assert command(*train("--out", out, *lr, *more)) == 2
        assert "the model gives NaN or infinity, so nothing can be said" in capsys.readouterr().err
        assert not Path(out, "evaluation.json").exists()


def test_a_loss_of_each_image_is_said_before_training(capsys):
    assert command(*train("--set", "train.loss.reduction=none")) == 2
    assert "gives a number for each image" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_metric_that_is_not_defined_is_said_before_training(monkeypatch):
    monkeypatch.setattr(shares, "checked", lambda dataset, mixed: dataset)  # val has one class
    np.savez(
        "one.npz",
        train_images=np.zeros((8, 4, 4), np.uint8),
        train_labels=np.arange(8) % 2,
        val_images=np.zeros((4, 4, 4), np.uint8),
        val_labels=np.zeros(4, int),
        test_images=np.zeros((4, 4, 4), np.uint8),
        test_labels=np.arange(4) % 2,
    )
    settings = Settings(
        data=runfile.Data(path="one.npz"),
        model=Named("small"),
        train=runfile.Train(metric="auc"),
    )
    command("--help")
    with pytest.raises(tg.errors.ConfigError, match="auc is not defined on the validation images"):
        prepare.run(prepare.named(settings))


DROPOUT = ("--set", "model.rate=0.5", "--set", "train.schedule=one_cycle")
CONVOLUTIONS = ("--model", "small_cnn")  # with batch norm: running statistics are state too


@pytest.mark.parametrize(
    ("options", "epoch", "at"),
    [*((DROPOUT, epoch, at) for epoch in (0, 1) for at in (1, 5, 20)), (CONVOLUTIONS, 1, 7)],
)
def test_a_stopped_run_goes_on_bit_for_bit(options, epoch, at, capsys):
    want = trained(*options, out="whole")
    stops = f"train.callbacks=['history', {{name='stops', epoch={epoch}, at={at}}}]"
    trained(*options, "--set", "train.checkpoint_every=0", "--set", stops, status=130)
    assert "go on with: tensorgraph train --resume --out out" in capsys.readouterr().err
    text = Path("out/run.toml").read_text()
    Path("out/run.toml").write_text(text.replace('{name = "stops"', '{name = "history"'))
    text = Path("out/run.toml").read_text().replace(f", epoch = {epoch}, at = {at}", "")
    Path("out/run.toml").write_text(text)
    assert command("train", "--resume", "--out", "out") == 0
    found = load_file("out/model.safetensors")
    for name, value in want.items():
        np.testing.assert_array_equal(found[name], value)
    same = ("epoch", "loss", "val_loss", "val_accuracy", "lr")
    assert [[row[k] for k in same] for row in history()] == [
        [row[k] for k in same] for row in history("whole")
    ]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    storage.write(path, b"old")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="could not be written: the disk is full"):
        storage.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
