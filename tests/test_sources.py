"""Sources with arrays: digits, IDX, MedMNIST's layout; finding the source that a path means."""

import gzip
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorgraph_train.sources import resolve_source

import tensorgraph as tg
from tensorgraph.errors import ConfigError, DataError, PluginError

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
MNIST, PNEUMONIA = SHARED / "mnist", SHARED / "pneumoniamnist.npz"


def real(path):
    return pytest.mark.skipif(not path.exists(), reason=f"{path} is not here")


def counts(dataset):
    return {part: len(own) for part, own in dataset.splits.items()}


def test_registering_imports_no_numpy_and_no_pillow():
    program = (
        "import sys, tensorgraph as tg; tg.datasets['digits'], tg.models['lenet5']\n"
        "print([name for name in ('numpy', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_digits_are_scikit_learns():
    known = pytest.importorskip("sklearn.datasets").load_digits()
    digits = tg.datasets.digits.load(None)
    assert np.array_equal(digits.images[:, 0], known.images) and digits.white == 16
    assert np.array_equal(digits.labels, known.target)
    assert counts(digits) == {"train": 1259, "val": 179, "test": 359}
    assert digits.images.dtype == np.uint8 and digits.labels.dtype == np.int64


def test_digits_have_one_split_for_every_seed():
    a, b = (tg.datasets.digits.load(None, seed=seed).splits["test"] for seed in (0, 7))
    assert np.array_equal(a, b)
    assert (
        len(tg.datasets.digits.load(None, val=0.0, test=0.5).splits["test"]) == 901
    )  # half of each class, rounded up


def test_resize_and_channels_of_arrays():
    plain = tg.datasets.digits.load(None)
    big = tg.datasets.digits.load(None, resize=[16, 12], channels=3)
    assert big.images.shape == (1797, 3, 16, 12)
    assert np.array_equal(big.images[:, 0], big.images[:, 2])
    torch = pytest.importorskip("torch")
    want = torch.nn.functional.interpolate(
        torch.tensor(plain.images[:50].astype(np.float64)), (16, 12), mode="bilinear"
    )
    np.testing.assert_allclose(big.images[:50, :1], want.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"resize": [28]}, r"resize is two positive integers, \[height, width\].* not \[28\]"),
        ({"resize": [0, 28]}, "two positive integers"),
        ({"chanels": 3}, "'digits' has no option 'chanels'; did you mean 'channels'?"),
        ({"channels": 2}, r"channels is 1 \(grey\) or 3 \(RGB\), not 2"),
    ],
)
def test_options_that_cannot_be(options, says):
    with pytest.raises(ConfigError, match=says):
        tg.datasets.digits.load(None, **options)


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def idx_folder(folder, n=40, zipped=False):
    draw = np.random.default_rng(0)
    arrays = {}
    for part, size in (("train", n), ("t10k", 10)):
        arrays[f"{part}-images-idx3-ubyte"] = draw.integers(0, 256, (size, 5, 4))
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(size) % 3
    for name, array in arrays.items():
        data = idx_bytes(array)
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return arrays


@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, zipped):
    arrays = idx_folder(tmp_path, zipped=zipped)
    source, path = resolve_source(str(tmp_path), tg.datasets)
    assert source is tg.datasets.idx
    dataset = source.load(path, val=0.25)
    assert np.array_equal(dataset.images[:40, 0], arrays["train-images-idx3-ubyte"])
    assert np.array_equal(dataset.images[40:, 0], arrays["t10k-images-idx3-ubyte"])
    assert dataset.splits["test"].tolist() == list(range(40, 50))
    assert counts(dataset) == {"train": 30, "val": 10, "test": 10}
    assert dataset.white == 255 and dataset.classes == ("0", "1", "2")
    assert dataset.names[41] == "test[1]"


@pytest.mark.parametrize(
    ("file", "data", "says"),
    [
        ("train-images-idx3-ubyte", b"\x89PNG....", "starts with 89 50 4e 47, not 00 00 08 03"),
        ("train-images-idx3-ubyte", b"", "starts with nothing"),
        ("train-images-idx3-ubyte", bytes([0, 0, 8, 3, 0]), "ends within its header, at 5 bytes"),
        ("t10k-labels-idx1-ubyte", idx_bytes(np.zeros(10))[:-3], "10 bytes, and 7 follow"),
        ("t10k-labels-idx1-ubyte", idx_bytes(np.zeros(9)), "has 10 images, and .* 9 labels"),
        ("t10k-images-idx3-ubyte", idx_bytes(np.zeros((10, 4, 4))), r"differ in size: \[5, 4\]"),
    ],
)
def test_idx_files_that_are_wrong_are_named(tmp_path, file, data, says):
    idx_folder(tmp_path)
    (tmp_path / file).write_bytes(data)
    with pytest.raises(DataError, match=says) as error:
        tg.datasets.idx.load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_idx_with_a_cut_gzip_or_a_missing_file(tmp_path):
    idx_folder(tmp_path, zipped=True)
    whole = tmp_path / "train-labels-idx1-ubyte.gz"
    whole.write_bytes(whole.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz is damaged or cut short"):
        tg.datasets.idx.load(tmp_path)
    whole.unlink()
    with pytest.raises(DataError, match="has no train-labels-idx1-ubyte or train-labels"):
        tg.datasets.idx.load(tmp_path)


@real(MNIST)
def test_mnist():
    source, path = resolve_source(str(MNIST), tg.datasets)
    mnist = source.load(path)
    assert mnist.images.shape == (70000, 1, 28, 28)
    assert counts(mnist) == {"train": 54000, "val": 6000, "test": 10000}
    # the mean and deviation that everyone normalises MNIST with
    train = mnist.images[:60000] / 255
    assert round(train.mean(), 4) == 0.1307 and round(train.std(), 4) == 0.3081
    assert mnist.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


@real(PNEUMONIA)
def test_pneumoniamnist():
    source, path = resolve_source(str(PNEUMONIA), tg.datasets)
    dataset = source.load(path)
    assert counts(dataset) == {"train": 4708, "val": 524, "test": 624}
    assert dataset.classes == ("normal", "pneumonia") and dataset.images.shape[1:] == (1, 28, 28)
    test = dataset.labels[dataset.splits["test"]]
    assert (test == 1).mean() == 0.625


def npz(folder, shape=(7, 6), dtype=np.uint8, parts=("train", "val", "test"), **change):
    draw = np.random.default_rng(0)
    arrays = {}
    for part in parts:
        arrays[f"{part}_images"] = draw.integers(0, 256, (30, *shape)).astype(dtype)
        arrays[f"{part}_labels"] = (np.arange(30) % 3).astype(np.uint8)[:, None]
    arrays |= change
    path = folder / "some.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path, arrays


@pytest.mark.parametrize(
    ("shape", "want"),
    [((7, 6), (1, 7, 6)), ((7, 6, 3), (3, 7, 6)), ((5, 7, 6), (1, 5, 7, 6))],
    ids=["grey", "rgb", "volume"],
)
def test_medmnist_shapes(tmp_path, shape, want):
    path, arrays = npz(tmp_path, shape)
    dataset = tg.datasets.medmnist.load(path)
    assert dataset.images.shape == (90, *want) and dataset.labels.shape == (90,)
    first = arrays["val_images"][4]
    first = np.moveaxis(first, -1, 0) if shape[-1] == 3 else first[None]
    assert np.array_equal(dataset.images[dataset.splits["val"][4]], first)
    assert dataset.notes == () and dataset.names[31] == "val[1]"


@pytest.mark.parametrize(
    ("dtype", "white", "kept"),
    [("uint8", 255, "uint8"), ("uint16", 65535, "uint16"), ("int64", 255, "uint8"),
     ("float64", 1, "float32")],
)  # fmt: skip
def test_medmnist_dtypes(tmp_path, dtype, white, kept):
    dataset = tg.datasets.medmnist.load(npz(tmp_path, dtype=dtype)[0])
    assert dataset.white == white and dataset.images.dtype == kept
    assert ("not from 0 to 1" in "".join(dataset.notes)) == (dtype == "float64")


def test_medmnist_without_val_and_test_splits_train_and_says_what_it_risks(tmp_path):
    dataset = tg.datasets.medmnist.load(npz(tmp_path, parts=["train"])[0])
    assert counts(dataset) == {"train": 21, "val": 3, "test": 6}
    assert "same patient" in dataset.notes[0]


def floats(bad=None):
    x = np.zeros((30, 7, 6), np.float32)
    if bad is not None:
        x[17:19, 3, 3] = bad
    return x


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train_labels": None}, "has no train_images and train_labels.*it has test_images"),
        ({"test_labels": None}, "test_labels are missing"),
        ({"train_labels": np.zeros((30, 1))}, r"differ in kind: train float64\[30\], val int64"),
        ({"train_labels": np.array(["a"] * 30)}, "one integer an image"),
        ({"train_labels": np.full((30, 14), 2)}, r"run from 2 to 2; of several .*\[30, 14\]"),
        ({"train_labels": np.full(30, np.nan)}, "labels have values that are not finite"),
        ({"train_labels": np.zeros(29, int)}, r"int64\[29\] for 30 images"),
        ({"train_labels": np.arange(30) - 1}, r"train_labels\[0\] is -1"),
        ({"train_labels": np.arange(30) * 2}, "the labels run from 0 to 58, and none is 3"),
        ({"train_images": floats(np.nan)}, r"train_images\[17\] has .*not finite.* 1 more of 30"),
        ({"train_images": floats(np.inf)}, r"train_images\[17\] has values that are not finite"),
        ({"train_images": floats()}, "differ in shape or dtype: train float32"),
        ({"train_images": np.zeros((30, 42), np.uint8)}, r"uint8\[30, 42\]; wanted are numbers"),
        ({"train_images": np.full((30, 7, 6), -5)}, "run from -5 to -5; integers are read from 0"),
        ({"train_images": np.array([None] * 30)}, "pickled Python objects, which are refused"),
    ],
)
def test_medmnist_that_cannot_be_used(tmp_path, change, says):
    path, _ = npz(tmp_path, **change)
    with pytest.raises(DataError, match=says):
        tg.datasets.medmnist.load(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"PK\x03\x04 not really", "damaged or cut short"),
        (b"", "damaged or cut short"),
        (pickle.dumps([1]), "pickled Python objects, which are refused"),
    ],
)
def test_an_npz_that_is_none(tmp_path, data, says):
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says):
        tg.datasets.medmnist.load(path)


def test_a_cut_npz(tmp_path):
    path, _ = npz(tmp_path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"some.npz is damaged or cut short"):
        tg.datasets.medmnist.load(path)


def test_what_no_source_reads(tmp_path):
    with pytest.raises(
        DataError, match=r"'digit' is neither .* name of a dataset; did you mean 'd"
    ):
        resolve_source("digit", tg.datasets)
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match=r"imagse' is neither a path .*did you mean '.*/images'"):
        resolve_source(str(tmp_path / "imagse"), tg.datasets)
    with pytest.raises(DataError, match="images is an empty folder; put images into it"):
        resolve_source(str(tmp_path / "images"), tg.datasets)
    (tmp_path / "notes.txt").write_text("?")
    with pytest.raises(DataError) as error:
        resolve_source(str(tmp_path / "notes.txt"), tg.datasets)
    for kind in ("IDX files", ".npz in MedMNIST's layout", "a subfolder per class", "manifest"):
        assert kind in str(error.value)
    with pytest.raises(ConfigError, match=r"'folder' reads a folder of images.*give its path"):
        tg.datasets.folder.load(None)


def test_names_win_over_paths_and_two_readers_are_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert resolve_source("digits", tg.datasets) == (tg.datasets.digits, None)
    both = {"a": tg.datasets.idx, "b": tg.datasets.idx}
    idx_folder(tmp_path)
    with pytest.raises(PluginError, match="is read by several sources: a, b"):
        resolve_source(str(tmp_path), both)
