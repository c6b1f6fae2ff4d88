"""The native code of kernels on the disk, in files that are of use without Numba.

A file holds for the sources that it was made from, for a processor and for a version of Numba;
these are its key, which is written into it, and a file with another key is as good as none.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
DIGEST = 32  # bytes of a key, and of a sum that tells whether a file is whole
ELSEWHERE = ("NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS")  # settings that code does not depend on


class Object(NamedTuple):
    """An object file, and the name of the function in it that is the kernel."""

    code: bytes
    entry: str


class File(NamedTuple):
    """What keeps the native code of a kernel, and where the kernel was written."""

    name: str
    source: str


def file(kernel: Any, dtype: str) -> File:
    """Of a kernel of numbers of this dtype."""
    return File(f"{kernel.name}@{dtype}.native", kernel.function.__code__.co_filename)


@functools.cache
def folder() -> Path:
    """Where native code is kept: beside the kernels, or in ``NUMBA_CACHE_DIR``."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        mark = hashlib.sha256(str(HERE).encode()).hexdigest()[:16]
        return Path(given) / f"tensorgraph_{mark}"
    beside = HERE / "kernels" / "__pycache__"
    if os.access(beside if beside.exists() else beside.parent, os.W_OK):
        return beside
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "tensorgraph"


@functools.cache
def key(source: str) -> bytes:
    """What the native code of kernels depends on that were written in the file ``source``."""
    path = Path(source)
    if path.parent == HERE / "kernels" or not path.exists():
        return _engine()
    return hashlib.sha256(_engine() + path.read_bytes()).digest()


@functools.cache
def _engine() -> bytes:
    """What all native code depends on."""
    found = hashlib.sha256(sys.version.encode())
    for path in (*sorted(HERE.glob("*.py")), *sorted(HERE.glob("kernels/*.py"))):
        found.update(path.read_bytes())
    for library in ("numba", "llvmlite"):
        spec = find_spec(library)
        version = Path(spec.origin or "").parent / "_version.py" if spec else None
        found.update(version.read_bytes() if version and version.exists() else b"")
    for name in sorted(os.environ.keys() - {*ELSEWHERE}):
        if name.startswith("NUMBA_"):
            found.update(f"{name}={os.environ[name]}\n".encode())
    settings = Path(".numba_config.yaml")
    found.update(settings.read_bytes() if settings.exists() else b"")
    found.update(processor().encode())
    return found.digest()


@functools.cache
def processor() -> str:
    """What Linux says of the first processor, but for what changes all the time."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = []
        for line in file:
            if not line.strip():
                break
            lines.append(line)
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags")
    return "".join(line for line in lines if line.partition(":")[0].strip() in wanted)


def find(file: File) -> Object | None:
    """The native code that a file keeps, if there is any for here and now."""
    try:
        found = (folder() / file.name).read_bytes()
    except OSError:
        return None
    body = found[2 * DIGEST :]
    if found[: 2 * DIGEST] != key(file.source) + hashlib.sha256(body).digest():
        return None
    entry, _, code = body.partition(b"\0")
    return Object(code, entry.decode())


def save(file: File, made: Object) -> None:
    """Keep native code, if the disk takes it."""
    path, body = folder() / file.name, made.entry.encode() + b"\0" + made.code
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as whole:
            whole.write(key(file.source) + hashlib.sha256(body).digest() + body)
        Path(whole.name).replace(path)  # whole, or not at all
    except OSError:
        return
