"""Hostile files: refused in a sentence, before more memory is taken than twice the file."""

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hostile
import numpy as np
import pytest
from medical_help import dicom_file, nifti_file
from PIL import Image
from training_help import archive, command, pictures, train

import tensorgraph as tg
from tensorgraph.errors import DataError

SCRIPT = Path(hostile.__file__)
FEW = 2 << 20  # bytes: an error's own objects, and pages that the allocator takes at once


def made(folder, name):
    if ".dcm" in name or ".nii" in name:
        pytest.importorskip("pydicom")
        pytest.importorskip("nibabel")
    (folder / name).write_bytes(content(name))
    return folder / name


@functools.cache
def content(name):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        hostile.FILES[name][0](path)
        return path.read_bytes()


def good(folder):
    Image.new("L", (8, 8)).save(folder / "good.png")
    for suffix in (".bmp", ".tif", ".jpg"):
        Image.new("L", (8, 8)).save(folder / f"good{suffix}")
    archive(folder / "good.npz")
    try:
        dicom_file(folder / "good.dcm", np.zeros((8, 8), np.uint8), PatientID="p")
        for suffix in (".nii", ".nii.gz"):
            nifti_file(folder / f"good{suffix}", np.zeros((8, 8, 8), np.int16))
    except pytest.skip.Exception:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="sizes of processes are Linux's")
@pytest.mark.parametrize("name", hostile.FILES)
def test_no_more_is_allocated_than_twice_the_file(tmp_path, name, monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "key"))
    path = made(tmp_path, name)
    good(tmp_path)
    command = [sys.executable, str(SCRIPT), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert f"{path} " in found["said"] and hostile.FILES[name][1] in found["said"]
    size = path.stat().st_size
    assert found["objects"] <= 2 * size + FEW
    assert found["process"] <= 2 * size + 4 * FEW


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "suffix", [".png", ".bmp", ".tif", ".jpg", ".npz", ".dcm", ".nii", ".nii.gz"]
)
def test_a_changed_byte_is_read_or_refused(tmp_path, suffix, monkeypatch):
    """Nothing else is raised, whatever byte is lost or changed."""
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "key"))
    good(tmp_path)
    path, draw = tmp_path / f"good{suffix}", np.random.default_rng(0)
    if not path.exists():
        pytest.skip("the package that writes it is not here")
    source, whole = tg.datasets["medmnist" if suffix == ".npz" else "image"], path.read_bytes()
    refused = 0
    for attempt in range(300):
        data = bytearray(whole)
        for _ in range(1 + attempt % 4):
            data[draw.integers(0, len(data))] = draw.choice([0, 1, 0x7F, 0x80, 0xFF])
        path.write_bytes(data if attempt % 3 else data[: draw.integers(0, len(data))])
        try:
            source.load(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
    assert 20 < refused < 300


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TENSORGRAPH_PSEUDONYM_KEY", str(tmp_path / "key"))


@pytest.mark.parametrize("name", hostile.FILES)
def test_a_run_is_refused_and_nothing_is_written(here, said, name):
    if name.endswith(".npz"):
        data = made(Path(), name)
    else:
        data = pictures("data", "cat", "dog")
        shutil.move(made(Path(), name), Path("data/dog", name))
    error = said(*train("--data", str(data)))
    assert name in error and hostile.FILES[name][1] in " ".join(error.split())
    assert len(error) < 600, "a sentence or two"


@pytest.mark.parametrize("name", ["bomb.png", "lying.nii", "program.dcm"])
def test_a_prediction_is_refused(here, capsys, name):
    path = made(Path(), name)
    assert command(*train("--data", pictures("data", "cat", "dog"))) == 0
    capsys.readouterr()
    assert command("predict", "out", path) == 2
    out, error = capsys.readouterr()
    assert (
        hostile.FILES[name][1] in " ".join(error.split()) and not out and "Traceback" not in error
    )


def test_three_images_in_all(here, said):
    pictures("data", "cat", n=2)
    pictures("data", "dog", n=1)
    error = said(*train("--data", "data"))
    assert "class 'cat' has 2 images, too few to have one in each of train, val, test" in error


def test_an_alpha_channel(here, said):
    pictures("data", "cat", "dog")
    pixels = np.zeros((8, 8, 4), np.uint8)
    Image.fromarray(pixels).save("data/cat/3.png")
    assert "cat/3.png has an alpha channel that hides some of its pixels" in said(
        *train("--data", "data")
    )


def test_mixed_bit_depths(here, said):
    pictures("data", "cat", "dog")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save("data/cat/3.png")
    assert "dog/0.png" not in (error := said(*train("--data", "data")))
    assert "cat/0.png has 8 bits and cat/3.png 16" in error and "data.options.bits=16" in error
    assert command(*train("--data", "data", "--set", "data.options.bits=16")) == 0
