"""PNG, JPEG, TIFF and BMP, read through Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tensorgraph.errors import DataError
from tensorgraph_vision.claims import amount

KINDS = ("PNG", "JPEG", "TIFF", "BMP")
GREY, DEEP = ("1", "L", "LA"), ("I;16", "I;16B", "I;16L", "I;16N")
COLOUR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
PLAIN = {"L": 1, "I;16": 2, "I;16B": 2, "I;16N": 2, "RGB": 3, "BGR": 3}  # stored bytes a pixel
ORIENTATION = 0x0112  # the EXIF tag
NOTHING: Mapping[str, str | float] = MappingProxyType({})


class Header(NamedTuple):
    """What a file says of itself before it is decoded."""

    shape: tuple[int, ...]
    channels: int
    dtype: str
    white: float
    alpha: bool
    notes: tuple[str, ...]
    group: str = ""
    columns: Mapping[str, str | float] = NOTHING


class Pictures:
    """Files that bear another's suffix among the four are read as what they are."""

    reads = "a png, jpg, tif or bmp image"
    suffixes = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

    def header(self, path: Path) -> Header:
        try:
            with Image.open(path, formats=KINDS) as image:
                found = _describe(image)
                _check_size(image, path)
                return found
        except (DataError, UnidentifiedImageError) as error:
            raise _broken(error) from error
        except Exception as error:  # Pillow raises many kinds for files that are broken
            raise _broken(error) from error

    def pixels(self, path: Path, header: Any) -> Any:
        try:
            with Image.open(path, formats=KINDS) as image:
                if image.format == "JPEG":
                    ImageOps.exif_transpose(image, in_place=True)
                if header.dtype == "uint16":
                    return np.asarray(image).astype(np.uint16)
                flat = _opaque(image) if header.alpha else image
                mode = "RGB" if header.channels == 3 else "L"
                return np.asarray(flat if flat.mode == mode else flat.convert(mode))
        except Exception as error:
            raise _broken(error) from error


def _describe(image: Image.Image) -> Header:
    if image.mode not in (*GREY, *DEEP, *COLOUR):
        raise DataError(
            f"has pixels of Pillow's mode {image.mode!r}; what is read has 8 or 16 bits: save it so"
        )
    tiles = getattr(image, "tile", ())
    raw = str(tiles[0].args) if tiles else ""
    colour = image.mode in COLOUR and not raw.startswith(("LA;16", "('LA;16"))
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        colour = bool((palette != palette[:, :1]).any())
    height, width = image.height, image.width
    if image.format == "JPEG" and image.getexif().get(ORIENTATION, 1) >= 5:  # lies on its side
        height, width = width, height
    deep, alpha = image.mode in DEEP, image.has_transparency_data
    notes = []
    if alpha:
        notes.append("An alpha channel that hides nothing is dropped.")
    if ";16" in raw and image.mode in ("RGB", "RGBA"):
        notes.append("Of 16-bit colour the upper 8 bits are read.")
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        notes.append("Of files with several pages the first is read.")
    return Header(
        (height, width),
        3 if colour else 1,
        "uint16" if deep else "uint8",
        65535.0 if deep else 255.0,
        alpha,
        tuple(notes),
    )


def _check_size(image: Image.Image, path: Path) -> None:
    """What is not compressed lies in the file as it is, so the file must be that long."""
    tiles = getattr(image, "tile", ())
    if not tiles or any(tile.codec_name != "raw" for tile in tiles):
        return
    mode = tiles[0].args if isinstance(tiles[0].args, str) else tiles[0].args[0]
    claimed, held = image.width * image.height * PLAIN.get(mode, 0), path.stat().st_size
    if claimed > held:
        raise DataError(
            "cannot be read as an image: it is damaged or cut short (it claims "
            f"{amount(claimed)} of pixels and is a file of {amount(held)})"
        )


def _opaque(image: Image.Image) -> Image.Image:
    """By way of RGBA, or Pillow warns of palettes with alpha."""
    image = image.convert("RGBA")
    alpha: Any = image.getchannel("A").getextrema()
    if alpha[0] < 255:
        raise DataError(
            "has an alpha channel that hides some of its pixels, and what is behind them is not "
            "known; save it without transparency"
        )
    return image


def _broken(error: Exception) -> Exception:
    if isinstance(error, DataError) or (isinstance(error, OSError) and error.errno is not None):
        return error
    if isinstance(error, UnidentifiedImageError):
        return DataError(f"cannot be read as an image: it is none of {', '.join(KINDS)}")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return DataError(f"is refused as a decompression bomb: {error}")
    return DataError(f"cannot be read as an image: it is damaged or cut short ({error})")


pictures = Pictures()
