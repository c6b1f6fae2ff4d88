"""Arrays of an .npz archive, each read once its header has been held against the file."""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.errors import DataError
from tensorgraph_vision import claims

PICKLED = (
    "is no .npz archive, or holds pickled Python objects, which are refused because loading them "
    "runs code; save it again with arrays of numbers only"
)


def npz(path: Path, names: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Those of the arrays that are there, and the names of all that are."""
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = [name for name in names if name in members]
            if sum(members[name].compress_size for name in wanted) > size:
                raise DataError("claims more than there is: it is damaged or made to deceive")
            for name in wanted:
                _check(archive, members[name])
            _check_memory(sum(members[name].file_size for name in wanted))
            arrays = {}
            for name in wanted:
                with archive.open(members[name]) as stream:
                    arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
            return arrays, sorted(members)
    except DataError as error:
        raise DataError(f"{path} {error}") from None
    except zipfile.BadZipFile as error:
        with path.open("rb") as stream:
            start = stream.read(6)
        if start == np.lib.format.MAGIC_PREFIX:
            raise DataError(f"{path} holds a single array and no .npz archive") from None
        if start and not start.startswith(b"PK"):
            raise DataError(f"{path} {PICKLED}") from None
        raise DataError(f"{path} is damaged or cut short: {error}") from error
    except (EOFError, NotImplementedError, RuntimeError, ValueError, zlib.error) as error:
        raise DataError(f"{path} is damaged or cut short: {error}") from error


def _header(stream: Any) -> tuple[tuple[int, ...], Any]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version in read:
        shape, _, dtype = read[version](stream)
        return shape, dtype
    raise DataError(f"holds an array of version {version}, and 1.0 and 2.0 are read")


def _check(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """The array's own header, the archive's list of contents and the file must agree."""
    with archive.open(info) as stream:
        shape, dtype = _header(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise DataError(PICKLED)
    claimed = math.prod(shape) * dtype.itemsize
    name = info.filename.removesuffix(".npy")
    if claimed != info.file_size - start:
        raise DataError(
            f"is damaged or made to deceive: {name} claims {claims.amount(claimed)} "
            f"({dtype}{list(shape)}), and the archive has {claims.amount(info.file_size - start)}"
        )
    try:
        claims.check(math.prod(shape), info.compress_size)
    except DataError as error:
        raise DataError(f"holds {name}, which {error}") from None


def _check_memory(needed: int) -> None:
    """More than the machine has would end in a crash without a word."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return  # on Windows
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory:
        raise DataError(
            f"holds {claims.amount(needed)}, and this machine has {claims.amount(memory)} of "
            "memory; save the images as files, which are read when they are needed"
        )
