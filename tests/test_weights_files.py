"""Reading files of weights: both of PyTorch's formats, safetensors, and files that mean harm."""

import os
import pickle
import random
import re
import zipfile

import numpy as np
import pytest
import weights_help as files
from safetensors.numpy import save_file
from tensorgraph_transfer.weights import read

from tensorgraph.errors import DataError, TensorgraphError

try:
    import torch
except ImportError:
    torch = None

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "conv.bias": np.array([0.5, -0.5], np.float64),
    "count": np.array(7, np.int64),
}


def same(found, wanted=ARRAYS):
    assert list(found) == list(wanted)
    for name, x in wanted.items():
        assert found[name].dtype == x.dtype and found[name].shape == x.shape
        np.testing.assert_array_equal(found[name], x)


def test_archive(tmp_path):
    same(read(files.save(tmp_path / "net.pt", ARRAYS)))


def test_older_format(tmp_path):
    same(read(files.save_older(tmp_path / "net.pth", ARRAYS)))


def test_safetensors(tmp_path):
    save_file(ARRAYS, tmp_path / "net.safetensors")
    found = read(tmp_path / "net.safetensors")
    same({name: found[name] for name in ARRAYS})


def test_transposed_tensor_and_shared_storage(tmp_path):
    x = np.arange(6, dtype=np.float32)
    stored = files.storage("0", "FloatStorage", 6)
    content = files.text("a") + files.tensor(stored, (3, 2), (1, 3))
    content += files.text("b") + files.tensor(stored, (2,), (1,), offset=4)
    found = read(files.archive(tmp_path / "net.pt", files.whole(content), [x.tobytes()]))
    np.testing.assert_array_equal(found["a"], x.reshape(2, 3).T)
    np.testing.assert_array_equal(found["b"], [4, 5])


def test_bfloat16_becomes_float32(tmp_path):
    content = files.text("a") + files.tensor(files.storage("0", "BFloat16Storage", 2), (2,), (1,))
    halves = np.array([1.5, -2.0], np.float32).view("<u2")[1::2].tobytes()
    found = read(files.archive(tmp_path / "net.pt", files.whole(content), [halves]))
    np.testing.assert_array_equal(found["a"], np.array([1.5, -2.0], np.float32))


def test_model_in_a_checkpoint(tmp_path):
    inner = b"}(" + files.items(ARRAYS) + b"u"
    content = files.text("epoch") + files.number(3) + files.text("state_dict") + inner
    stored = [x.tobytes() for x in ARRAYS.values()]
    same(read(files.archive(tmp_path / "net.pt", files.whole(content), stored)))


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed (extra peers)")
@pytest.mark.parametrize("older", [False, True])
def test_files_of_pytorch(tmp_path, older):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = net.state_dict() | {"half": torch.ones(3).bfloat16(), "turned": torch.rand(2, 5).t()}
    torch.save(state, tmp_path / "net.pt", _use_new_zipfile_serialization=not older)
    found = read(tmp_path / "net.pt")
    assert list(found) == list(state)
    for name, x in state.items():
        np.testing.assert_array_equal(found[name], x.float().numpy())


class Harmful:
    """Runs a command when Python's unpickler reads it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_run(tmp_path, protocol):
    mark = tmp_path / "harm"
    content = pickle.dumps({"weight": Harmful(f"touch {mark}")}, protocol)
    with pytest.raises(DataError, match=r"refused: it names '\w+\.system'"):
        read(files.archive(tmp_path / "net.pt", content))
    (tmp_path / "net.pth").write_bytes(files.MAGIC + content)
    with pytest.raises(DataError, match="refused: it names"):
        read(tmp_path / "net.pth")
    assert not mark.exists()


TENSOR = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n"
STORED = files.storage("0", "FloatStorage", 3)
OUTSIDE = "lies outside its storage"
HOSTILE = {
    "eval": (b"\x80\x02cbuiltins\neval\n(X\x01\x00\x00\x001tR.", "it names 'builtins.eval'"),
    "torch.load": (b"\x80\x02ctorch\nload\n.", "it names 'torch.load'"),
    "instance": (b"(ios\nsystem\n.", "the opcode INST"),
    "object": (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "the opcode NEWOBJ"),
    "extension": (b"\x80\x02\x82\x01.", "the opcode EXT1"),
    "bytes": (b"\x80\x03C\x01a.", "the opcode SHORT_BINBYTES"),
    "call of a text": (b"\x80\x02X\x01\x00\x00\x00a)R.", "it calls a str"),
    "call of a dtype": (b"\x80\x02ctorch\nFloatStorage\n)R.", "it calls 'torch.FloatStorage'"),
    "attributes": (b"\x80\x02]}b.", "it sets attributes of a list"),
    "key": (b"\x80\x02})Ns.", "a key is a tuple"),
    "no storage": (b"\x80\x02)Q.", "not a storage of numbers"),
    "empty stack": (b"\x80\x02\x85.", "not a whole pickle"),
    "unknown memo": (b"\x80\x02h\x07.", "not a whole pickle"),
    "cut off": (b"\x80\x02](K\x01", "not a whole pickle"),
    "long text": (b"\x80\x02X\xff\xff\xff\x7fabc.", "not a whole pickle"),
    "no tensors": (b"\x80\x02}.", "it holds no tensors"),
    "os.system": (b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00idtR.", "it names 'os.system'"),
    "name of numbers": (b"\x80\x04K\x01K\x02\x93.", "it names '1.2'"),
    "tensor of nothing": (TENSOR + b")R.", "not a whole pickle"),
    "tensor of texts": (TENSOR + b"(" + 4 * files.text("a") + b"tR.", "a tensor has no storage"),
    "shape is a list": (
        TENSOR + b"(" + STORED + files.number(0) + b"]]tR.",
        "a tensor has no storage, shape or strides",
    ),
    "storage of a storage": (b"\x80\x02" + STORED + b"Q.", "not a storage of numbers"),
    "storage named by a storage": (
        b"\x80\x02(" + files.text("storage") + STORED + 2 * files.text("0") + b"K\x03tQ.",
        "a storage has no dtype",
    ),
    "attributes of a dtype": (b"\x80\x02ctorch\nFloatStorage\n}b.", "sets attributes of a Name"),
    "attributes are a pair": (b"\x80\x02}}}\x86b.", "sets attributes of a dict"),
    "attributes are a function": (b"\x80\x02}cos\nsystem\nb.", "it names 'os.system'"),
    "opcodes without end": (b"\x80\x02]" + b"q\x00h\x00" * (1 << 19) + b".", "opcodes"),
    "nested tuples": (b"\x80\x02)" + b"\x85" * 5000 + b".", "nested without end"),
    "path as a key": (
        files.whole(
            files.text("a")
            + files.tensor(files.storage("../data.pkl", "FloatStorage", 3), (1,), (1,))
        ),
        "storage ../data.pkl is not there",
    ),
}
SHAPES = {
    "outside": ((4,), (1,), 0),
    "offset": ((1,), (1,), 3),
    "strides": ((2, 2), (2, 1), 0),
    "negative stride": ((2,), (-1,), 1),
    "negative offset": ((1,), (1,), -1),
    "negative size": ((-1,), (1,), 0),
    "one number many times": ((1000, 1000, 1000), (0, 0, 0), 0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles(tmp_path, name):
    content, reason = HOSTILE[name]
    with pytest.raises(DataError, match=re.escape(reason)):
        read(files.archive(tmp_path / "net.pt", content))


@pytest.mark.parametrize("name", SHAPES)
def test_tensors_outside_their_storage(tmp_path, name):
    shape, strides, offset = SHAPES[name]
    stored = files.storage("0", "FloatStorage", 3)
    content = files.whole(files.text("a") + files.tensor(stored, shape, strides, offset))
    with pytest.raises(DataError, match=f"{OUTSIDE}|a tensor has shape"):
        read(files.archive(tmp_path / "net.pt", content, [bytes(12)]))


def test_nested_without_end(tmp_path):
    """A list that holds itself, and lists that hold the one before twice."""
    with pytest.raises(DataError, match="nested without end"):
        read(files.archive(tmp_path / "a.pt", b"\x80\x02]q\x00h\x00a."))
    doubled = b"(]" + b"".join(b"q%c](h%ch%ce" % (i, i, i) for i in range(64)) + b"t"
    with pytest.raises(DataError, match="nested without end"):
        read(files.archive(tmp_path / "b.pt", b"\x80\x02" + doubled + b"."))


def test_many_tensors_of_one_storage(tmp_path):
    stored = files.storage("0", "FloatStorage", 1000)
    content = b"".join(
        files.text(str(i)) + files.tensor(stored, (1000,), (1,)) for i in range(1000)
    )
    with pytest.raises(DataError, match="larger than the file"):
        read(files.archive(tmp_path / "net.pt", files.whole(content), [bytes(4000)]))


def test_compressed_archive(tmp_path):
    content = files.whole(files.items(ARRAYS))
    path = files.archive(tmp_path / "net.pt", content, [bytes(96)], zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match="compressed parts"):
        read(path)


def test_parts_of_an_archive_that_overlap(tmp_path):
    """A directory that gives many names to the same bytes: no more is read than the file has."""
    arrays = {str(i): np.zeros(1000, np.float32) for i in range(8)}
    content = files.save(tmp_path / "net.pt", arrays).read_bytes()
    end = content.rindex(b"PK\x05\x06")
    start = int.from_bytes(content[end + 16 : end + 20], "little")
    directory, first = bytearray(content[start:]), None
    for at in (i for i in range(len(directory)) if directory[i : i + 4] == b"PK\x01\x02"):
        if directory[at + 46 :].startswith(b"net/data/"):
            first = first or bytes(directory[at + 42 : at + 46])
            directory[at + 42 : at + 46] = first
    (tmp_path / "net.pt").write_bytes(content[:start] + directory)
    with pytest.raises(DataError, match="not a whole zip archive"):
        read(tmp_path / "net.pt")


def test_archive_with_paths_outside(tmp_path):
    """Nothing of an archive is written anywhere."""
    path = files.save(tmp_path / "net.pt", ARRAYS)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../../outside", b"harm")
    same(read(path))
    assert not list(tmp_path.parent.rglob("outside"))


def test_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as file:
        file.writestr("letter.txt", "hello")
    with pytest.raises(DataError, match=r"PyTorch's data.pkl is not in it"):
        read(tmp_path / "net.pt")


def test_empty_and_other_files(tmp_path):
    (tmp_path / "empty.pt").touch()
    with pytest.raises(DataError, match="the file is empty"):
        read(tmp_path / "empty.pt")
    (tmp_path / "number.pt").write_bytes(pickle.dumps(1, 2))
    with pytest.raises(DataError, match="neither safetensors nor"):
        read(tmp_path / "number.pt")


@pytest.mark.parametrize("save", [files.save, files.save_older])
def test_damaged_files_never_do_worse_than_an_error(tmp_path, save):
    """Cut anywhere, or with a byte changed: arrays, or an error that says so."""
    whole = save(tmp_path / "net.pt", ARRAYS).read_bytes()
    chance = random.Random(0)
    for i in range(300):
        content = bytearray(whole)
        if i % 2:
            del content[chance.randrange(len(content)) :]
        else:
            content[chance.randrange(len(content))] = chance.randrange(256)
        (tmp_path / "damaged.pt").write_bytes(content)
        try:
            read(tmp_path / "damaged.pt")
        except TensorgraphError as error:
            assert "damaged.pt" in str(error)
