"""Files of images, of whatever format is registered, read at once or when they are needed."""

from __future__ import annotations

import math
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tensorgraph.errors import DataError
from tensorgraph_vision import agreement, claims
from tensorgraph_vision.agreement import Options
from tensorgraph_vision.formats import Formats, Header
from tensorgraph_vision.pixels import resized, windowed, with_channels

OPTIONS = (*Options._fields, "cache", "workers")
CACHE = 1 << 30  # bytes of decoded images that are kept; others are decoded on access


def read(
    paths: Sequence[Path],
    names: Sequence[str],
    *,
    cache: int | None = None,
    workers: int | None = None,
    **options: Any,
) -> tuple[Any, ImageFiles]:
    """The images as an array (N, C, H, W), or, beyond ``cache`` bytes, decoded on access."""
    files = ImageFiles(paths, names, workers=workers, **options)
    cache, size = CACHE if cache is None else cache, files.nbytes
    if size <= cache:
        return files[np.arange(len(files))], files
    files.room = cache
    files.notes.append(
        f"Decoded, the images take {claims.amount(size)}: {claims.amount(cache)} of them are "
        "kept, and the others read again when they are needed."
    )
    return files, files


class ImageFiles:
    """Images that are decoded on access: an index array gives an array (n, C, H, W), or, of
    volumes, (n, C, D, H, W).

    of       NumPy array (N,): the file of each image, of which a volume in slices has several
    names    of the images
    groups   NumPy array (N,) of whom they show, or None
    columns  what else the files say, by name: NumPy arrays (N,)
    room     bytes of decoded images that may still be kept. What is kept stays: every epoch needs
             each image once, so that none is worth more than another.
    """

    def __init__(
        self, paths: Sequence[Path], names: Sequence[str], *, workers: int | None, **options: Any
    ) -> None:
        self.options = Options(**options).checked()
        self.paths, self.files, self.workers = paths, names, workers
        known = Formats()
        self.formats: list[Any] = [known.of(path) for path in paths]
        self.headers: list[Header] = self._each(self._header, range(len(paths)))
        self.form = form = agreement.form(self.headers, names, self.options)
        counts = [self.options.count(h.shape) for h in self.headers]
        self.of = np.repeat(np.arange(len(paths)), counts)
        self.first = np.cumsum([0, *counts])
        self.names = [
            name if count == 1 else f"{name}[{i}]"
            for name, count in zip(names, counts)
            for i in range(count)
        ]
        self.dtype, self.white, self.notes = form.dtype, form.white, form.notes
        self.shape = (len(self.of), form.channels, *form.size)
        self.nbytes = int(np.prod(self.shape)) * self.dtype.itemsize
        self.groups, notes = self._groups()
        self.notes += notes
        tables = [header.columns for header in self.headers]
        self.columns = {k: v[self.of] for k, v in agreement.columns(tables).items()}
        self.room = 0
        self.kept: dict[int, Any] = {}
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, indices: Any) -> Any:
        indices = np.arange(len(self))[indices]
        if indices.ndim == 0:
            return self[indices[None]][0]
        out = np.empty((len(indices), *self.shape[1:]), self.dtype)
        missing: dict[int, list[int]] = defaultdict(list)
        for at, i in enumerate(indices.tolist()):
            if i in self.kept:
                out[at] = self.kept[i]
            else:
                missing[int(self.of[i])].append(at)

        def fill(file: int) -> None:
            wanted = [int(indices[at] - self.first[file]) for at in missing[file]]
            images = self._decode(file, wanted)
            for at, i in zip(missing[file], wanted):
                out[at] = images[i]
            if self.room:
                self._keep(file, images)

        self._each(fill, missing)
        return out

    def _groups(self) -> tuple[Any, list[str]]:
        found, notes = agreement.groups(self.headers)
        if not any(found):
            if len(self.of) == len(self.paths):
                return None, []
            found = list(self.files)  # slices of a volume belong together
        return np.array(found)[self.of], notes

    def _header(self, file: int) -> Header:
        path = self.paths[file]
        try:
            if self.formats[file] is None:
                path.open("rb").close()  # it may be a folder, or not there
                raise DataError(f"is of no kind that is read: {Formats().kinds}")
            header: Header = self.formats[file].header(path)
            values = math.prod(header.shape) * header.channels
            if values > claims.MOST:  # fewer are in any file
                claims.check(values, path.stat().st_size)
        except (DataError, OSError) as error:
            raise self._refused(file, error) from error
        return header

    def _decode(self, file: int, wanted: Iterable[int]) -> dict[int, Any]:
        """The images of a file, each (C, H, W) or (C, D, H, W), by their number in it: those that
        are wanted, or all while there is room to keep them."""
        header, options = self.headers[file], self.options
        try:
            x = self.formats[file].pixels(self.paths[file], header)
        except (DataError, OSError) as error:
            raise self._refused(file, error) from error
        want = (*header.shape, 3) if header.channels == 3 else header.shape
        if x.shape != want or x.dtype != header.dtype:
            raise DataError(
                f"{self.files[file]}: the format gave {x.dtype}{list(x.shape)} after a header "
                f"that says {header.dtype}{list(want)}"
            )
        if options.count(header.shape) == 1 and len(header.shape) == len(self.form.size):
            return {0: self._brought(x, header)}
        pieces = np.moveaxis(x, options.slices, 0)
        if self.room > 0:
            wanted = range(len(pieces))
        return {i: self._brought(pieces[i], header) for i in wanted}

    def _brought(self, x: Any, header: Any) -> Any:
        """One image (H, W), or (H, W, 3), or either with a depth before, in the form of all."""
        form, own = self.form, header.white
        if self.options.window is not None:
            window = header.window if self.options.window == "file" else self.options.window
            x, own = windowed(x, window), 1.0
        if x.ndim > len(form.size) and form.channels == 1:
            x = with_channels(x, 1, axis=-1)[..., 0]
        x = resized(x, form.size)
        x = np.moveaxis(x, -1, 0) if x.ndim > len(form.size) else x[None]
        x = with_channels(x, form.channels, axis=0)
        if own != form.white:
            x = x * (form.white / own)
            x = x if form.dtype.kind == "f" else np.rint(x)
        return x.astype(form.dtype, copy=False)

    def _keep(self, file: int, images: dict[int, Any]) -> None:
        with self.lock:
            for i, image in images.items():
                at = int(self.first[file]) + i
                if at not in self.kept and image.nbytes <= self.room:
                    self.room -= image.nbytes
                    self.kept[at] = np.array(image)

    def _refused(self, file: int, error: Exception) -> DataError:
        name = self.files[file]
        if isinstance(error, DataError):
            return DataError(f"{name} {error}")
        if isinstance(error, IsADirectoryError):
            return DataError(f"{name} is a folder; name the images in it, such as {name}/*.png")
        return DataError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}")

    def _each(self, function: Callable[[int], Any], items: Iterable[int]) -> list[Any]:
        """``map``, on a few threads where it pays: decoders leave the interpreter's lock."""
        items, workers = list(items), self.workers
        if workers is None:
            workers = min(8, os.cpu_count() or 1)
        if workers < 2 or len(items) < 8:
            return [function(i) for i in items]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(function, items))
