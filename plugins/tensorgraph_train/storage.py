"""Files that are never seen half-written, and tensors in safetensors files."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorgraph.errors import DataError

METADATA = "tensorgraph"  # one key: safetensors orders several at random, and files would differ


def write(path: Path, content: bytes) -> None:
    """Replace the file's content in one step: after a crash it is the old or the new.

    Written beside the target, flushed to the disk, then renamed. Raises OSError, with the target
    as its file name, and leaves nothing behind.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        reason = (
            "the disk is full" if error.errno == errno.ENOSPC else os.strerror(error.errno or 0)
        )
        raise OSError(error.errno, f"could not be written: {reason}", str(path)) from error
    except BaseException:  # Ctrl-C
        temporary.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """The rename itself must reach the disk too."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """NumPy arrays by name, and what JSON can hold; the same content gives the same bytes."""
    import numpy as np
    from safetensors.numpy import save

    arrays = {name: np.asarray(x, order="C") for name, x in tensors.items()}
    write(path, save(arrays, {METADATA: json.dumps(metadata, sort_keys=True)}))


def load_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``save_tensors`` saved: the arrays and the metadata."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, _metadata(file, path)  # noqa: SIM118


def load_metadata(path: Path) -> dict[str, Any]:
    """The metadata alone."""
    with _opened(path) as file:
        return _metadata(file, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except DataError:
        raise
    except (SafetensorError, ValueError) as error:
        raise DataError(f"{path}: not a whole safetensors file: {error}") from error


def _metadata(file: Any, path: Path) -> dict[str, Any]:
    metadata = json.loads((file.metadata() or {}).get(METADATA, "null"))
    if not isinstance(metadata, dict):
        raise DataError(f"{path}: was not written by tensorgraph: its metadata is missing")
    return metadata
