"""Files of weights as PyTorch writes them, made by hand: opcodes, archives, storages."""

import io
import struct
import zipfile

import numpy as np

KINDS = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}
MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
MACHINE = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."


def text(word):
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def number(n):
    return b"J" + struct.pack("<i", n)


def numbers(*values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key, kind, count, older=False):
    view = b"N" if older else b""
    word = f"ctorch\n{kind}\n".encode()
    return b"(" + text("storage") + word + text(key) + text("cpu") + number(count) + view + b"tQ"


def tensor(stored, shape, strides, offset=0):
    arguments = stored + number(offset) + numbers(*shape) + numbers(*strides) + b"\x89"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"ccollections\nOrderedDict\n)RtR"


def steps(x):
    return [n // x.itemsize for n in np.asarray(x, order="C").strides]


def whole(content):
    """A pickle of an OrderedDict with these items."""
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + content + b"u."


def items(arrays, older=False):
    return b"".join(
        text(name) + tensor(storage(str(i), KINDS[str(x.dtype)], x.size, older), x.shape, steps(x))
        for i, (name, x) in enumerate(arrays.items())
    )


def archive(path, pickle, storages=(), compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("net/data.pkl", pickle)
        for i, content in enumerate(storages):
            file.writestr(f"net/data/{i}", content)
    return path


def save(path, arrays):
    """As ``torch.save`` does it today."""
    return archive(path, whole(items(arrays)), [x.tobytes() for x in arrays.values()])


def save_older(path, arrays):
    """As it did before 2020."""
    out = io.BytesIO()
    out.write(MAGIC + b"\x80\x02M\xe9\x03." + MACHINE + whole(items(arrays, older=True)))
    out.write(b"\x80\x02](" + b"".join(text(str(i)) for i in range(len(arrays))) + b"e.")
    for x in arrays.values():
        out.write(struct.pack("<q", x.size) + x.tobytes())
    path.write_bytes(out.getvalue())
    return path
