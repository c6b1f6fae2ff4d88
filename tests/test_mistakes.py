"""Bad input to the command: one clear message, status 2, no traceback, nothing half-written."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tensorgraph_train.runfile import Settings
from training_help import archive, command, pictures, train

import tensorgraph as tg


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TENSORGRAPH_BACKEND", raising=False)


# The data


def test_a_path_that_is_not_there(said):
    assert "'digitz' is neither a path that exists nor the name of a dataset" in said(
        *train("--data", "digitz")
    )


def test_the_near_miss_of_a_dataset(said):
    assert "did you mean 'digits'?" in said(*train("--data", "digitz"))


def test_a_path_for_a_dataset_that_reads_none(said):
    pictures("pictures", "cat", "dog")
    assert "digits reads no path, and pictures is given" in said(
        *train("--data", "pictures", "--set", "data.name=digits")
    )


def test_a_folder_named_as_a_dataset(said):
    pictures("image", "cat", "dog")
    assert "write ./image for the path" in said(*train("--data", "image"))
    assert command(*train("--data", "./image")) == 0


def test_an_empty_folder(said):
    Path("empty").mkdir()
    assert "empty is an empty folder" in said(*train("--data", "empty"))


def test_a_folder_with_one_class(said):
    assert "pictures has one class only, 'cat'" in said(
        *train("--data", pictures("pictures", "cat"))
    )


def test_a_truncated_image(said):
    pictures("pictures", "cat", "dog")
    path = Path("pictures/dog/3.png")
    path.write_bytes(path.read_bytes()[:60])
    assert "dog/3.png cannot be read as an image" in said(*train("--data", "pictures"))


def test_an_npz_with_pickled_objects(said):
    archive("data.npz", train_labels=np.array([{"a": 1}] * 20, dtype=object))
    error = said(*train("--data", "data.npz"))
    assert "data.npz" in error
    assert "pickle" in error


def test_labels_that_are_not_integers(said):
    archive("data.npz", train_labels=np.full(20, 0.5))
    error = said(*train("--data", "data.npz"))
    assert "train_labels" in error
    assert "integer" in error


def test_images_of_different_sizes(said):
    pictures("pictures", "cat")
    pictures("pictures", "dog", size=(9, 7))
    assert "resize" in said(*train("--data", "pictures"))
    assert command(*train("--data", "pictures", "--set", "data.resize=[8,8]")) == 0


def test_nan_in_the_data(said):
    images = np.zeros((20, 8, 8), np.float32)
    images[3, 2, 2] = np.nan
    archive("data.npz", train_images=images)
    assert "NaN" in said(*train("--data", "data.npz"))


# The model and the names


def test_a_model_that_does_not_fit_the_image(said):
    error = said("train", "--model", "lenet5", "--out", "out")
    assert "model 'lenet5' does not fit images of 1×8×8" in error
    assert "layer" in error, "the layer is named"
    assert "float32[1," in error, "and its input"
    assert "--set data.resize=[32,32]" in error, "and the fix"


def test_misspelt_names(said):
    assert "did you mean 'small_cnn'?" in said("train", "--model", "smal_cnn")
    assert "did you mean 'adam'?" in said(*train("--set", "train.optimizer=adma"))
    assert "did you mean 'accuracy'?" in said(*train("--set", "train.metric=acuracy"))
    assert "did you mean 'cosine'?" in said(*train("--set", "train.schedule=cosin"))
    assert "did you mean 'numpy'?" in said(*train("--backend", "nunpy"))


def test_misspelt_keys_and_options(said):
    assert "no key train.epoch; did you mean epochs?" in said(*train("--set", "train.epoch=3"))
    error = said(*train("--set", "train.optimizer.lrr=0.1"))
    assert "train.optimizer: optimizer 'adam' has no option 'lrr'; did you mean lr?" in error
    error = said(*train("--set", "model.hiden=3"))
    assert "model: model 'small' has no option 'hiden'; did you mean hidden?" in error
    error = said(*train("--set", "train.schedule=multi_step"))
    assert "'multi_step' needs milestones; set it with --set train.schedule.milestones=…" in error


def test_a_loss_that_does_not_fit(said):
    error = said(*train("--set", "train.loss=mse_loss"))
    assert "train.loss: mse_loss does not take what a classifier gives" in error
    assert "cross_entropy does" in error


def test_a_regularizer_of_nothing(said):
    error = said(*train("--set", "train.regularizer={name='l2', where='*.bias'}"))
    assert "l2: where='*.bias' chooses none of the parameters" in error


def test_an_option_of_the_wrong_kind(said):
    error = said(*train("--set", "train.optimizer.lr=fast"))
    assert "train.optimizer" in error
    assert "fast" in error


@pytest.mark.parametrize(
    ("option", "says"),
    [
        (
            "train.optimizer.lr=fast",
            "train.optimizer.lr = 'fast'; it takes a number, such as 0.001",
        ),
        ("train.optimizer.amsgrad=3", "train.optimizer.amsgrad = 3; it takes true or false"),
        ("train.optimizer.betas=0.9", "train.optimizer.betas = 0.9; it takes a list, such as [0.9"),
    ],
)
def test_the_kind_of_an_option(said, option, says):
    assert says in said(*train("--set", option))


def test_misspelt_commands_and_flags(said):
    assert "Did you mean 'train'?" in said("trian")
    assert "--modle" in said("train", "--modle", "x")
    assert "'tensorgraph train --help' shows what there is" in said("train", "--epochs", "many")


def test_a_backend_that_is_not_here(said):
    try:
        tg.config.get_backend("cupy")
        pytest.skip("there is a GPU here")
    except tg.errors.BackendError:
        pass
    assert "backend 'cupy' is not available here" in said(*train("--backend", "cupy"))


def test_a_model_that_cannot_be_recorded(capsys):
    reads = ("--model", "reads", "--epochs", "1", "--out", "out")
    assert command("train", *reads) == 2
    error = capsys.readouterr().err
    assert "item() reads the value of bool[] while a step is being recorded" in error
    assert "training_help.py, line " in error
    assert "in Reads" in error
    assert error.endswith("as it is written with --set train.compile=false\n")
    assert command("train", *reads[:-1], "other", "--set", "train.compile=false") == 0


# The output folder


def test_a_folder_that_holds_another_run(said):
    assert command(*train()) == 0
    error = said(*train())
    assert "--out out: it holds another run; add --resume to go on with it" in error


def test_a_folder_that_holds_something_else(said):
    Path("out").mkdir()
    Path("out/thesis.txt").write_text("years of work")
    assert "--out out: the folder is not empty" in said(*train())
    Path("file").write_text("")
    assert "--out file: it is a file" in said("train", "--out", "file")


def test_two_runs_at_once_do_not_share_a_folder(capsys, monkeypatch):
    from tensorgraph_train import display, prepare

    first, second = (prepare.new_folder(Settings(), "digits") for _ in range(2))
    assert first != second and first.is_dir() and second.is_dir()

    def another_begins(*args):
        Path("out").mkdir()
        Path("out/run.toml").write_text("")

    monkeypatch.setattr(display, "before", another_begins)
    assert command(*train()) == 2
    assert "--out out: it holds another run" in capsys.readouterr().err
    assert Path("out/run.toml").read_text() == "", "the other run's file is untouched"


def test_resuming_what_is_not_there(said):
    assert "--resume: say which run to go on with: --out DIR" in said("train", "--resume")
    assert "--resume: out holds no run" in said("train", "--resume", "--out", "out")


def test_resuming_with_other_settings(said):
    assert command(*train()) == 0
    error = said(*train("--resume", "--epochs", "7"))
    assert "--resume: train.epochs is 1 in out/run.toml, and 7 is asked for now" in error
    assert command(*train("--resume")) == 0, "the same settings may be said again"


def test_a_full_disk(capsys):
    """A file system of 250 kB that the weights do not fit."""
    Path("tiny").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=250k", "tmpfs", "tiny"]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        status = command(*train()[:-1], "tiny/out", "--set", "model.hidden=300", "--epochs", "3")
        error = capsys.readouterr().err
        assert status == 2
        assert "tiny/out/checkpoint.safetensors: could not be written: the disk is full" in error
        assert "go on with: tensorgraph train --resume --out tiny/out" in error
        assert not list(Path("tiny/out").glob(".*")), "no half-written file is left"
        for path in Path("tiny/out").glob("*.safetensors"):
            load_file(path)
    finally:
        subprocess.run(["umount", "tiny"], check=True)


def test_a_folder_without_permission(said):
    assert "/proc/out: " in said(*train()[:-1], "/proc/out")
