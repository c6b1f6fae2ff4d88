"""Images that are read while others are computed on: equal bits, bounded memory, errors in time."""

import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from medical_help import volumes
from PIL import Image
from tensorgraph_train import feed
from tensorgraph_vision.pictures import Pictures
from training_help import command, pictures, train

import tensorgraph as tg
from tensorgraph.errors import DataError

LAZY = ["--set", "data.cache=0"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(folder):
    record = [json.loads(line) for line in Path(folder, "history.jsonl").read_text().splitlines()]
    losses = [(r["loss"], r["val_loss"]) for r in record]
    evaluation = json.loads(Path(folder, "evaluation.json").read_text())
    return Path(folder, "model.safetensors").read_bytes(), losses, evaluation


def test_the_number_of_workers_changes_no_bit(numpy_alone):
    pictures("data", "cat", "dog", n=40)
    runs = {
        "whole": [],
        "0": [*LAZY, "--set", "data.workers=0"],
        "1": [*LAZY, "--set", "data.workers=1"],
        "4": [*LAZY, "--set", "data.workers=4"],
        "cached": ["--set", "data.cache=2e-6", "--set", "data.workers=4"],
    }
    few = ["--set", "train.batch_size=8", "--epochs", "3"]
    for name, more in runs.items():
        assert command(*train("--data", "data", "--out", name, *few, *more)) == 0
    first, *others = (written(name) for name in runs)
    assert all(other == first for other in others)


def lazy(n=40, **options):
    pictures("data", "cat", "dog", n=n // 2)
    dataset = tg.datasets["folder"].load(Path("data"), cache=0, **options)
    return feed.Feed(dataset, (0.5,), (0.25,), "float32")


def test_what_is_read_ahead_is_what_was_asked_for():
    images = lazy()
    batches = list(images.batches(np.arange(40)[::-1], 7))
    found = list(images.ahead(batches))
    assert [own.tolist() for own, _ in found] == [own.tolist() for own in batches]
    for own, x in found:
        assert np.array_equal(x.numpy(), images.images(own).numpy())


def test_no_more_is_read_ahead_than_is_said_and_threads_end(monkeypatch):
    images, reads = lazy(), []
    pixels = Pictures.pixels
    monkeypatch.setattr(Pictures, "pixels", lambda *a: reads.append(a[1]) or pixels(*a))
    before = threading.active_count()
    batches = images.ahead(images.batches(np.arange(40), 4))
    next(batches)
    wanted, deadline = 4 * (1 + feed.AHEAD), time.monotonic() + 30
    while len(reads) < wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(reads) == wanted
    batches.close()
    assert threading.active_count() == before and len(reads) < 40


def test_reading_goes_on_while_others_compute(monkeypatch):
    images = lazy(n=40)
    pixels = Pictures.pixels
    monkeypatch.setattr(Pictures, "pixels", lambda *a: time.sleep(0.005) or pixels(*a))

    def seconds(batches):
        start = time.perf_counter()
        for _ in batches:
            time.sleep(0.02)
        return time.perf_counter() - start

    batches = list(images.batches(np.arange(40), 4))  # 4 images take as long as a step
    in_turn = seconds((own, images.images(own)) for own in batches)
    assert seconds(images.ahead(batches)) < 0.9 * in_turn


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_what_is_kept_is_bounded_and_never_read_again(workers, monkeypatch):
    pictures("data", "cat", "dog", n=10)  # 64 bytes an image
    images = tg.datasets["folder"].load(Path("data"), cache=350, workers=workers).images
    first = images[np.arange(20)]
    assert len(images.kept) == 5 and images.room == 30
    kept, reads = [*images.kept], []
    pixels = Pictures.pixels
    monkeypatch.setattr(Pictures, "pixels", lambda *a: reads.append(a[1]) or pixels(*a))
    assert np.array_equal(images[np.arange(20)], first)
    assert len(reads) == 15 and not {images.paths[i] for i in kept} & {*reads}


def test_an_error_while_reading_ahead_reaches_the_caller():
    images = lazy()
    Path("data/dog/3.png").unlink()
    with pytest.raises(DataError, match=r"dog/3.png cannot be read: No such file"):
        list(images.ahead(images.batches(np.arange(40), 8)))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_file_that_cannot_be_decoded_is_known_before_anything_is_written(said, part):
    pictures("data", "cat", "dog", n=20)
    dataset = tg.datasets["folder"].load(Path("data"))
    name = Path("data", dataset.names[dataset.splits[part][0]])
    name.write_bytes(name.read_bytes()[:80])
    error = said(*train("--data", "data", *LAZY))
    assert f"{name.relative_to('data')} cannot be read as an image: it is damaged" in error


def test_nan_in_what_is_read_later(said):
    nibabel = pytest.importorskip("nibabel")
    volumes(Path("data"), n=10)
    path = Path("data/left/v03.nii.gz")
    voxels = np.full((8, 8, 8), np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), path)
    error = said(*train("--data", "data", *LAZY))
    assert "left/v03.nii.gz has NaN or infinity among its values" in error


def test_keys_that_cannot_be(said):
    Image.new("L", (8, 8)).save("x.png")
    error = said(*train("--set", "data.workers=-1"))
    assert "data.workers = -1; it takes a whole number, at least 0" in error
    error = said(*train("--set", "data.cache=-1"))
    assert "data.cache = -1; it takes GiB of decoded images to keep, 0 for none" in error


def test_sources_that_read_no_files_are_not_bothered():
    assert command(*train("--set", "data.workers=2", *LAZY)) == 0
