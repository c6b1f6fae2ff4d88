"""DICOM images: pydicom reads them, and of the rest what says who somebody is stays behind."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.errors import DataError, TensorgraphError
from tensorgraph_medical import tags
from tensorgraph_medical.reading import Header, package

PROGRAMS = {
    b"MZ": "a Windows program",
    b"\x7fELF": "a Linux program",
    b"\xfe\xed\xfa": "a macOS program",
    b"\xcf\xfa\xed\xfe": "a macOS program",
    b"\xce\xfa\xed\xfe": "a macOS program",
    b"\xca\xfe\xba\xbe": "a Java or macOS program",
    b"#!": "a script",
    b"PK\x03\x04": "an archive",
}
MONOCHROME = ("MONOCHROME1", "MONOCHROME2")


class Dicom:
    """Grey pixels are measured values (rescale slope and intercept are applied), float32, brighter
    where there is more: MONOCHROME1 is inverted. Several frames are a volume (D, H, W)."""

    reads = "a DICOM file"
    suffixes = (".dcm", ".dicom", ".ima")

    def accepts(self, path: Path) -> bool:
        """Hospitals' exports often have no suffix."""
        if not path.is_file() or path.name.upper() == "DICOMDIR":
            return False
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"

    def header(self, path: Path) -> Header:
        with _parsed(path, tags.DESCRIBING, whole=False) as (found, stream):
            shape, colour = _shape(found)
            _check_size(found, stream, math.prod(shape) * (3 if colour else 1))
            kind = ("uint8", 255.0) if colour else ("float32", 1.0)
            window = None if colour else _window(found)
            columns, notes = tags.columns(found), tags.notes(found, path)
            group = tags.group(found)
            return Header(shape, 3 if colour else 1, *kind, group, columns, notes, window)

    def pixels(self, path: Path, header: Any) -> Any:
        with _parsed(path, (*tags.DESCRIBING, *tags.DECODING), whole=True) as (found, _):
            try:
                decode = package("pydicom.pixels").pixel_array
                stored = decode(found, allow_excess_frames=False)
            except Exception as error:
                raise _undecoded(found) from error
            if header.channels == 3:
                return _coloured(found, stored)
            x = _rescaled(found, stored)
            if found.PhotometricInterpretation == "MONOCHROME1":
                np.subtract(_ends(found), x, out=x)
            return x


class Bounded(mmap.mmap):
    """A file of which no more can be asked for than there is."""

    def read(self, n: int | None = None) -> bytes:
        if n is None:  # pydicom does so where all that follows has been deflated
            raise DataError("is deflated as a whole, which is not read; save it uncompressed")
        return super().read(n)


@contextlib.contextmanager
def _parsed(path: Path, wanted: tuple[str, ...], *, whole: bool) -> Iterator[tuple[Any, Any]]:
    """The elements that are wanted, and the stream, which stands before the pixels unless the
    ``whole`` is read."""
    pydicom = package("pydicom")
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size < 132:
            raise DataError("is no DICOM file: it ends within its preamble")
        with Bounded(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            _check_preamble(stream[:132])
            try:
                found = pydicom.dcmread(
                    stream, stop_before_pixels=not whole, specific_tags=list(wanted)
                )
                yield found, stream
            except (TensorgraphError, OSError):
                raise
            except Exception as error:  # its text may hold what stands in the file
                kind = type(error).__name__
                raise DataError(f"is damaged or cut short: it cannot be parsed ({kind})") from error


def _check_preamble(start: bytes) -> None:
    for magic, kind in PROGRAMS.items():
        if start.startswith(magic):
            raise DataError(
                f"begins as {kind} does, and is refused: a DICOM file's first 128 bytes may hide "
                "one; where they mean nothing, overwrite them with zeros"
            )
    if start[128:] != b"DICM":
        raise DataError("is no DICOM file: 'DICM' does not stand at byte 128")


def _shape(found: Any) -> tuple[tuple[int, ...], bool]:
    """(H, W) or (D, H, W), and whether in colour."""
    if "Rows" not in found or "PhotometricInterpretation" not in found:
        kind = found.get("Modality") or "of no modality"
        raise DataError(f"holds no image (it is {kind}); take it out of the images")
    frames, rows, columns = (
        int(found.get(key) or 1) for key in ("NumberOfFrames", "Rows", "Columns")
    )
    colour = str(found.PhotometricInterpretation) not in MONOCHROME
    bits = int(found.BitsAllocated)
    if colour and bits != 8:
        raise DataError(f"has colours of {bits} bits; 8 are read")
    if min(frames, rows, columns) < 1:
        raise DataError(f"is damaged: it says {frames}x{rows}x{columns} pixels")
    return ((frames, rows, columns) if frames > 1 else (rows, columns)), colour


def _check_size(found: Any, stream: Any, values: int) -> None:
    """Pixels that are not compressed lie in the file as they are, so it must be that long."""
    start, held = stream.tell(), len(stream)
    if stream[start : start + 4] not in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10"):
        raise DataError("holds no pixels, or is cut short before them")
    syntax = found.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise DataError("is damaged: it does not say how it is encoded (TransferSyntaxUID)")
    if syntax.is_compressed:
        return
    half = str(found.PhotometricInterpretation) == "YBR_FULL_422"  # colours of every other pixel
    palette = str(found.PhotometricInterpretation) == "PALETTE COLOR"
    values = values * 2 // 3 if half else values // 3 if palette else values
    claimed = -(-values * int(found.BitsAllocated) // 8)
    if start + claimed > held:
        raise DataError(
            f"claims {claimed} bytes of pixels and is a file of {held}: it is damaged, cut short "
            "or made to deceive"
        )


def _rescaled(found: Any, stored: Any) -> Any:
    """By the modality's table, by slope and intercept, or by those of each frame."""
    if "ModalityLUTSequence" in found:
        return package("pydicom.pixels").apply_modality_lut(stored, found).astype(np.float32)
    x = stored.astype(np.float32)
    scales = [_scale(item) for item in _functional_groups(found)] or [_scale(found)]
    if not all(math.isfinite(a) and math.isfinite(b) and a for a, b in scales):
        raise DataError("is damaged: its rescale slope is zero, or is no number")
    slope, intercept = np.array(scales, np.float32).T.reshape(2, -1, *(1,) * (x.ndim - 1))
    if len(scales) == 1:
        slope, intercept = slope.reshape(()), intercept.reshape(())
    x *= slope
    x += intercept
    return x


def _scale(item: Any) -> tuple[float, float]:
    slope, intercept = item.get("RescaleSlope"), item.get("RescaleIntercept")
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)


def _functional_groups(found: Any) -> list[Any]:
    """Where enhanced files keep slope and intercept: for all frames, or one for each."""
    for key in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        items = [item.get("PixelValueTransformationSequence") for item in found.get(key) or ()]
        if items and all(items):
            return [item[0] for item in items]
    return []


def _ends(found: Any) -> float:
    """The least and the largest value that may be, added."""
    bits, signed = int(found.BitsStored), bool(found.get("PixelRepresentation"))
    if "ModalityLUTSequence" in found:
        return float(2 ** int(found.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    slope, intercept = next(iter(map(_scale, _functional_groups(found))), _scale(found))
    return slope * (-1 if signed else 2**bits - 1) + 2 * intercept


def _window(found: Any) -> tuple[float, float] | None:
    """The first of the file's own; of MONOCHROME1 for the inverted values."""
    if not found.get("WindowWidth") or found.get("VOILUTFunction") == "SIGMOID":
        return None
    centre, width = (float(np.ravel(found.get(key))[0]) for key in ("WindowCenter", "WindowWidth"))
    if found.get("VOILUTFunction") != "LINEAR_EXACT":
        centre, width = centre - 0.5, width - 1  # PS3.3 C.11.2.1.2.1
    if found.PhotometricInterpretation == "MONOCHROME1":
        centre = _ends(found) - centre
    return (centre, width) if width > 0 else None


def _coloured(found: Any, stored: Any) -> Any:
    if str(found.PhotometricInterpretation) != "PALETTE COLOR":
        return stored
    x = package("pydicom.pixels").apply_color_lut(stored, found)[..., :3]
    return x if x.dtype == np.uint8 else (x >> 8).astype(np.uint8)


def _undecoded(found: Any) -> DataError:
    """With the packages that might decode it and are not here."""
    syntax = found.file_meta.TransferSyntaxUID
    try:
        decoder = package("pydicom.pixels").get_decoder(syntax)
    except NotImplementedError:
        return DataError(f"is compressed in a way that nothing here decodes ({syntax.name})")
    names = [text.replace("gdcm>", "python-gdcm>") for text in decoder.missing_dependencies]
    wanted = f"one of these packages: {'; '.join(names)}"
    if not decoder.is_available:
        return DataError(f"is compressed ({syntax.name}), and decoding that takes {wanted}")
    more = f", or decoding it takes {wanted}" if names else ""
    return DataError(
        f"has pixels that cannot be decoded ({syntax.name}): it is damaged or cut short{more}"
    )


dicom = Dicom()
