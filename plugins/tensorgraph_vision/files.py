"""Image files, read through Pillow and brought to one size, depth and number of channels."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tensorgraph.errors import DataError
from tensorgraph_vision.pixels import check_options, resized, white_of, with_channels

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
GREY, DEEP = ("1", "L", "LA"), ("I;16", "I;16B", "I;16L", "I;16N")
COLOUR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
MEMORY = 1 << 30  # bytes of decoded images that are kept; more are decoded on access
ORIENTATION = 0x0112  # the EXIF tag


class Header(NamedTuple):
    """What a file says of itself before it is decoded."""

    size: tuple[int, int]  # height, width
    colour: bool
    deep: bool  # 16 bits
    alpha: bool
    pages: bool  # more than one
    shallow: bool  # 16-bit colour, of which Pillow reads the upper 8 bits


def is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read(paths: Sequence[Path], names: Sequence[str], *, memory: int, **options: Any) -> Any:
    """The images as an array (N, C, H, W), or, beyond ``memory`` bytes, decoded on access."""
    files = ImageFiles(paths, names, **options)
    size = int(np.prod(files.shape)) * files.dtype.itemsize
    if size <= memory:
        return files[np.arange(len(files))], files.white, files.notes
    files.notes.append(
        f"Decoded, the images take {size / 2**30:.1f} GiB: each is read again when it is needed."
    )
    return files, files.white, files.notes


class ImageFiles:
    """Images that are decoded on access: an index array gives an array (n, C, H, W).

    If any is in colour, all become RGB; if any has 16 bits, the values of 8-bit ones are scaled
    by 257, so that white stays white.
    """

    def __init__(
        self, paths: Sequence[Path], names: Sequence[str], *, resize: Any, channels: Any
    ) -> None:
        self.paths, self.names = paths, names
        self.size, channels = check_options(resize, channels)
        headers = _in_threads(self._header, range(len(paths)))
        colours, deeps = sum(h.colour for h in headers), sum(h.deep for h in headers)
        self.size = self.size or self._one_size(headers)
        self.dtype = np.dtype(np.uint16 if deeps else np.uint8)
        self.white = white_of(self.dtype)
        self.shape = (len(paths), channels or (3 if colours else 1), *self.size)
        some, n = range(1, len(paths)), len(paths)
        facts = {
            f"{colours} of {n} images are in colour; the grey ones are read as RGB.": (
                colours in some and not channels
            ),
            f"{deeps} of {n} images have 16 bits; the values of the others are scaled to 16.": (
                deeps in some
            ),
            "Transparency (an alpha channel) is dropped.": any(h.alpha for h in headers),
            "Of 16-bit colour the upper 8 bits are read.": any(h.shallow for h in headers),
            "Of files with several pages the first is read.": any(h.pages for h in headers),
        }
        self.notes = [note for note, holds in facts.items() if holds]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Any) -> Any:
        indices = np.arange(len(self))[indices]
        if indices.ndim == 0:
            return self._decode(int(indices))
        out = np.empty((len(indices), *self.shape[1:]), self.dtype)

        def fill(at: int) -> None:
            out[at] = self._decode(int(indices[at]))

        _in_threads(fill, range(len(indices)))
        return out

    def _one_size(self, headers: Sequence[Header]) -> tuple[int, int]:
        sizes = Counter(h.size for h in headers).most_common()
        if len(sizes) > 1:
            most, other = sizes[0][0], sizes[1][0]
            first, second = (
                next(n for n, h in zip(self.names, headers) if h.size == size)
                for size in (most, other)
            )
            fit = list(most) if max(most) <= 256 else [224, 224]
            raise DataError(
                f"images of different sizes: {first} is {most[0]}x{most[1]} and {second} is "
                f"{other[0]}x{other[1]} (height x width); bring all to one, for example with "
                f"--set data.resize={fit}"
            )
        return sizes[0][0]

    def _header(self, i: int) -> Header:
        try:
            with Image.open(self.paths[i], formats=FORMATS) as image:
                return _describe(image)
        except DataError as error:
            raise DataError(f"{self.names[i]} {error}") from None
        except Exception as error:  # Pillow raises many kinds for files that are broken
            raise _broken(self.names[i], error) from error

    def _decode(self, i: int) -> Any:
        """One image as (C, H, W)."""
        try:
            with Image.open(self.paths[i], formats=FORMATS) as image:
                header = _describe(image)
                if image.format == "JPEG":
                    ImageOps.exif_transpose(image, in_place=True)
                x = _pixels(image, header)
        except Exception as error:
            raise _broken(self.names[i], error) from error
        if x.ndim == 3 and self.shape[1] == 1:
            x = with_channels(x, 1, axis=2)[:, :, 0]
        assert self.size is not None
        x = resized(x, self.size)
        x = np.moveaxis(x, 2, 0) if x.ndim == 3 else x[None]
        x = with_channels(x, self.shape[1], axis=0)
        return x.astype(np.uint16) * np.uint16(257) if self.dtype.itemsize > x.itemsize else x


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
    return Header(
        (height, width),
        colour,
        image.mode in DEEP,
        image.has_transparency_data,
        image.format == "TIFF" and getattr(image, "n_frames", 1) > 1,
        ";16" in raw and image.mode in ("RGB", "RGBA"),
    )


def _pixels(image: Image.Image, header: Header) -> Any:
    """(H, W) uint16 or uint8, or (H, W, 3) uint8."""
    if header.deep:
        return np.asarray(image).astype(np.uint16)
    if header.alpha:
        image = image.convert("RGBA")  # on the way, or Pillow warns of palettes with alpha
    return np.asarray(image.convert("RGB" if header.colour else "L"))


def _broken(name: str, error: Exception) -> DataError:
    if isinstance(error, IsADirectoryError):
        return DataError(f"{name} is a folder; name the images in it, such as {name}/*.png")
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(f"{name} cannot be read: {error.strerror}")
    if isinstance(error, UnidentifiedImageError):
        return DataError(f"{name} cannot be read as an image: it is none of {', '.join(FORMATS)}")
    return DataError(f"{name} cannot be read as an image: it is damaged or cut short ({error})")


def _in_threads(function: Any, items: Sequence[int]) -> list[Any]:
    """``map``, on a few threads where it pays: Pillow decodes outside the interpreter's lock."""
    if len(items) < 8:
        return [function(i) for i in items]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))
