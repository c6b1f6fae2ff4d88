"""Arrays of pixels: their size, channels, window, and the value that stands for white."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from tensorgraph.errors import ConfigError, DataError

LUMA = (19595, 38470, 7471)  # ITU-R BT.601 in 1/65536, as in Pillow


def white_of(dtype: Any) -> float:
    """The raw value that stands for 1.0: the largest of an unsigned dtype, 1 for floats."""
    return float(np.iinfo(dtype).max) if np.dtype(dtype).kind == "u" else 1.0


def check_options(resize: Any, channels: Any) -> tuple[tuple[int, ...] | None, int | None]:
    """``resize`` and ``channels`` as they may be used, or the error that says what is wrong."""
    if channels not in (None, 1, 3):
        raise ConfigError(f"channels is 1 (grey) or 3 (RGB), not {channels!r}")
    if resize is None:
        return None, channels
    size = tuple(resize) if isinstance(resize, list | tuple) else ()
    if len(size) not in (2, 3) or not all(isinstance(n, int) and n > 0 for n in size):
        raise ConfigError(
            "resize is two positive integers, [height, width], or, of volumes, three, "
            f"[depth, height, width], not {resize!r}"
        )
    return size, channels


def check_rank(resize: tuple[int, ...] | None, shape: tuple[int, ...]) -> None:
    """Flat images take two sides, and volumes three."""
    if resize is not None and len(resize) != len(shape):
        kind = "flat images" if len(shape) == 2 else "volumes"
        example = [32, 32] if len(shape) == 2 else [32, 32, 32]
        raise ConfigError(
            f"resize = {list(resize)} does not fit {kind} of {'x'.join(map(str, shape))}: they "
            f"take {len(shape)} numbers, such as --set data.resize={example}"
        )


def fit(images: Any, resize: Any, channels: Any) -> Any:
    """Bring a batch (N, C, H, W), or (N, C, D, H, W), to a size and a number of channels; None
    leaves as it is."""
    resize, channels = check_options(resize, channels)
    check_rank(resize, images.shape[2:])
    images = with_channels(images, channels or images.shape[1], axis=1)
    if resize is None or images.shape[2:] == resize:
        return images
    out = np.empty((*images.shape[:2], *resize), images.dtype)
    for i, image in enumerate(images):
        for c, plane in enumerate(image):
            out[i, c] = resized(plane, resize)
    return out


def with_channels(x: Any, channels: int, axis: int) -> Any:
    """Grey repeated to RGB, or RGB weighed to grey (ITU-R BT.601)."""
    own = x.shape[axis]
    if own == channels:
        return x
    if own == 1:
        return np.repeat(x, channels, axis)
    if (own, channels) != (3, 1):
        raise DataError(f"images have {own} channels, and {channels} are wanted")
    planes = [np.take(x, [c], axis) for c in range(3)]
    if x.dtype.kind == "f":
        total: Any = sum(w / 65536 * plane for w, plane in zip(LUMA, planes))
    else:
        weighted: list[Any] = [w * plane.astype(np.int64) for w, plane in zip(LUMA, planes)]
        total = (sum(weighted) + 32768) >> 16
    return total.astype(x.dtype)


def resized(x: Any, size: tuple[int, ...]) -> Any:
    """One image (H, W) or (D, H, W), or either with RGB last, resampled linearly along each axis
    with Pillow's antialiasing."""
    if x.shape[: len(size)] == size:
        return x
    if x.dtype == np.uint8 and len(size) == 2:
        return _plane(x, size)
    if x.ndim > len(size):
        return np.stack([resized(x[..., c], size) for c in range(x.shape[-1])], -1)
    out = np.asarray(x, np.float32)  # Pillow resamples 16 bits only so
    if len(size) == 2:
        out = _plane(out, size)
    else:
        depth, *flat = size
        out = np.stack([_plane(plane, (flat[0], flat[1])) for plane in out])
        rows = out.reshape(len(out), -1)  # the depth is the height of a picture of these
        out = _plane(rows, (depth, rows.shape[1])).reshape(size)
    return (out if x.dtype.kind == "f" else np.rint(out)).astype(x.dtype)


def _plane(x: Any, size: tuple[int, ...]) -> Any:
    if x.shape == size:
        return x
    height, width = size
    return np.asarray(Image.fromarray(x).resize((width, height), Image.Resampling.BILINEAR))


def windowed(x: Any, window: tuple[float, float]) -> Any:
    """Values from centre - width / 2 to centre + width / 2 become 0 to 1; others are clipped."""
    centre, width = window
    return np.clip((np.asarray(x, np.float32) - centre) / width + 0.5, 0.0, 1.0, dtype=np.float32)
