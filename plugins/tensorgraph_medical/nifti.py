"""NIfTI volumes: nibabel reads the header, which is held against the file before the voxels."""

from __future__ import annotations

import contextlib
import gzip
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tensorgraph.errors import DataError
from tensorgraph_medical.reading import Header, fill, package

AXES = ("L", "P", "S")  # as axial slices are shown: the patient's left on the right, the front up
HEADERS = {348: "Nifti1Header", 540: "Nifti2Header"}  # by their length
MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0\r\n\x1a\n")}
FARTHEST = 1 << 24  # bytes of what may stand before the voxels
NO_ORIENTATION = "Some volumes do not say how they lie; they are read as they are stored."


class Stored(NamedTuple):
    """Where the voxels are, and how they become what is wanted."""

    shape: tuple[int, ...]
    dtype: Any
    start: int
    slope: float
    intercept: float
    orientation: Any


class Nifti:
    """A volume is (D, H, W): feet to head, front to back, the patient's right to left. One slice
    alone is a flat image."""

    reads = "a NIfTI volume"
    suffixes = (".nii", ".nii.gz")

    def header(self, path: Path) -> Header:
        with _opened(path) as stream:
            start = stream.read(540)
        found = self._parsed(start)
        try:
            notes, stored = self._stored(found)
        except DataError:
            raise
        except Exception as error:  # nibabel's own, and of numbers that are none
            raise DataError(f"is damaged: its header cannot be read ({error})") from error
        needed = math.prod(stored.shape) * stored.dtype.itemsize
        held = path.stat().st_size
        if not found.sizeof_hdr <= stored.start <= FARTHEST:
            raise DataError(f"is damaged: its header says that the voxels begin at {stored.start}")
        if path.suffix.lower() != ".gz" and stored.start + needed > held:
            raise DataError(
                f"claims {'x'.join(map(str, stored.shape))} voxels, which end at byte "
                f"{stored.start + needed}, and is a file of {held}: it is damaged, cut short or "
                "made to deceive"
            )
        order = stored.orientation[:, 0].astype(int)
        sides = dict(zip(order.tolist(), stored.shape))
        shape = tuple(sides[axis] for axis in (2, 1, 0))
        shape = shape[1:] if shape[0] == 1 else shape
        return Header(shape, 1, "float32", 1.0, "", {}, notes, None, stored)

    def pixels(self, path: Path, header: Any) -> Any:
        stored = header.more
        x = np.empty(math.prod(stored.shape), stored.dtype)
        with _opened(path) as stream:
            stream.seek(stored.start)
            fill(stream, x)
        x = x.astype(np.float32)
        if (stored.slope, stored.intercept) != (1.0, 0.0):
            x *= stored.slope
            x += stored.intercept
        turn = package("nibabel.orientations").apply_orientation
        turned = turn(x.reshape(stored.shape, order="F"), stored.orientation)
        return np.ascontiguousarray(turned.T).reshape(header.shape)

    def _parsed(self, start: bytes) -> Any:
        orders = {"<": int.from_bytes(start[:4], "little"), ">": int.from_bytes(start[:4], "big")}
        for order, length in orders.items():
            if length not in HEADERS or len(start) < length:
                continue
            at, magic = MAGIC[length]
            if start[at : at + len(magic)] == magic:
                kind = getattr(package("nibabel"), HEADERS[length])
                return kind(start[:length], endianness=order, check=False)
            if start[at : at + 4] == b"ni1\0":
                raise DataError("has its voxels in another file (.img); save both as one .nii")
        raise DataError("is no NIfTI file: its header has neither length 348 nor 540, or is cut")

    def _stored(self, header: Any) -> tuple[tuple[str, ...], Stored]:
        nibabel = package("nibabel.orientations")
        if not 1 <= int(header["dim"][0]) <= 7:
            raise DataError(f"is damaged: its header says {header['dim'][0]} dimensions")
        shape, dtype = tuple(map(int, header.get_data_shape())), header.get_data_dtype()
        if len(shape) > 3 and math.prod(shape[3:]) != 1:
            raise DataError(
                f"has {math.prod(shape[3:])} volumes ({'x'.join(map(str, shape))}); save the one "
                "that is meant as a file of its own"
            )
        shape = (*shape[:3], *(1,) * (3 - len(shape)))
        if min(shape) < 1:
            raise DataError(f"is damaged: its header says {'x'.join(map(str, shape))} voxels")
        if dtype.kind not in "iuf":
            raise DataError(f"has voxels of {dtype}; numbers are read: save it so")
        slope, intercept = header.get_slope_inter()
        turn = nibabel.io_orientation(header.get_best_affine())
        notes: tuple[str, ...] = ()
        if np.isnan(turn).any():
            notes, turn = (NO_ORIENTATION,), nibabel.axcodes2ornt(AXES)
        turn = nibabel.ornt_transform(turn, nibabel.axcodes2ornt(AXES))
        slope, intercept = slope or 1.0, intercept or 0.0
        return notes, Stored(shape, dtype, int(header.get_data_offset()), slope, intercept, turn)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    compressed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if compressed else path.open("rb") as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"is damaged or cut short: {error}") from error


nifti = Nifti()
