"""PyTorch's files of weights without torch: zip archives, and the format from before 2020."""

from __future__ import annotations

import mmap
import struct
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.errors import DataError
from tensorgraph_transfer.pickled import BYTES, Reader, Storage, Stored, tensors

MAGIC = 0x1950A86A20F9469CFC6C  # what the older format begins with
PICKLE = b"\x80"  # the opcode with which all of Python's pickles begin, but for the oldest
WITHIN = ("state_dict", "model_state_dict", "model")  # where a checkpoint has the model's
Bytes = Callable[[Storage], bytes]


def load(path: Path) -> dict[str, Any]:
    """The tensors of a state dict by name, as NumPy arrays; bfloat16 becomes float32.

    Raises ``DataError`` for what is damaged, or holds more than tensors and plain containers.
    """
    if not path.stat().st_size:
        raise DataError(f"{path}: the file is empty")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _zipped(path) if content[:4] == b"PK\x03\x04" else _older(path, content)
    if not found:
        raise DataError(f"{path}: it holds no tensors")
    return found


def _zipped(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            if len(entries) < len(archive.infolist()):
                raise DataError(f"{path}: refused: two parts of the archive have one name")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
                raise DataError(f"{path}: refused: compressed parts, which PyTorch does not write")
            head = next((name for name in entries if name.endswith("/data.pkl")), None)
            if head is None:
                raise DataError(f"{path}: a zip archive, but PyTorch's data.pkl is not in it")
            folder = head.removesuffix("data.pkl")
            order = archive.read(f"{folder}byteorder") if f"{folder}byteorder" in entries else b""
            if order not in (b"", b"little"):
                raise DataError(f"{path}: refused: the byte order {order[:20]!r}, not little")

            def storage(wanted: Storage) -> bytes:
                name = f"{folder}data/{wanted.key}"
                if name not in entries or entries[name].file_size != wanted.size:
                    raise DataError(f"{path}: storage {wanted.key} is not there, or cut off")
                return archive.read(name)

            with archive.open(head) as pickle:
                tree = Reader(pickle, str(path)).read()
            return arrays(tensors(_model(tree), str(path)), storage, path)
    except DataError:
        raise
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a whole zip archive: {error}") from error


def _older(path: Path, content: Any) -> dict[str, Any]:
    """Four pickles (a number, a version, the machine, the state dict), the keys of the storages,
    then these: a count of 8 bytes, and so many numbers."""
    what = str(path)
    if content[:1] != PICKLE or Reader(content, what).read() != MAGIC:
        raise DataError(f"{path}: neither safetensors nor a file of PyTorch's weights")
    _, machine, tree, keys = (Reader(content, what).read() for _ in range(4))
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise DataError(f"{path}: refused: it was not written on a little-endian machine")
    wanted = {x.storage.key: x.storage for _, x in tensors(tree, what)}
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise DataError(f"{path}: refused: the list of its storages is no list of names")
    contents = {}
    for key in keys:
        if key not in wanted:
            raise DataError(f"{path}: refused: no tensor says what storage {key!r} holds")
        head, size = content.read(8), wanted[key].size
        if len(head) < 8 or struct.unpack("<q", head)[0] != wanted[key].length:
            raise DataError(f"{path}: storage {key} is cut off, or of another length than said")
        contents[key] = content.read(size)
        if len(contents[key]) < size:
            raise DataError(f"{path}: storage {key} is cut off")
    if missing := wanted.keys() - contents.keys():
        raise DataError(f"{path}: storage {min(missing)} is not there")
    found = tensors(_model(tree), what)
    return arrays(found, lambda storage: contents[storage.key], path)


def _model(tree: Any) -> Any:
    """Of a checkpoint with the optimizer's state and more, the model's part."""
    inner = [tree[k] for k in WITHIN if k in tree] if isinstance(tree, dict) else []
    return next((part for part in inner if isinstance(part, dict)), tree)


def arrays(found: Iterable[tuple[str, Stored]], read: Bytes, path: Path) -> dict[str, Any]:
    """Each tensor with memory of its own; storages that several share are read once."""
    storages: dict[Storage, Any] = {}
    made: dict[str, Any] = {}
    total = 0
    for name, x in found:
        if name in made:
            raise DataError(f"{path}: refused: two tensors have the name {name}")
        total += int(np.prod(x.shape, dtype=np.int64)) * BYTES[x.storage.dtype]
        if total > 2 * path.stat().st_size:  # tied weights at most; memory is never a surprise
            raise DataError(f"{path}: refused: its tensors are larger than the file")
        if x.storage not in storages:
            storages[x.storage] = _numbers(read(x.storage), x.storage.dtype)
        numbers = storages[x.storage][x.offset :]
        steps = [step * numbers.itemsize for step in x.strides]
        made[name] = np.lib.stride_tricks.as_strided(numbers, x.shape, steps).copy()
    return made


def _numbers(content: bytes, dtype: str) -> Any:
    if dtype == "bfloat16":  # the upper half of a float32
        raw = np.frombuffer(content, "<u2").astype("<u4") << 16
        return raw.view("<f4").astype(np.float32)
    kind = np.dtype(dtype).newbyteorder("<")
    if dtype == "bool":
        return np.frombuffer(content, np.uint8) != 0
    numbers = np.frombuffer(content, kind)
    return numbers if sys.byteorder == "little" else numbers.astype(dtype)
