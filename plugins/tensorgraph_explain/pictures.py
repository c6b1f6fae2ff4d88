"""Maps as pictures: laid over their image or as tiles, with what is said of them, as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from tensorgraph.errors import ConfigError

FOR, AGAINST = (213, 94, 0), (0, 114, 178)  # of Okabe and Ito (2008), which everybody tells apart
SIDE = 240  # pixels: the longer side of a panel
TILES = 64  # the most that are shown of many maps
MARGIN, LINE = 12, 18
INK, FAILED = (27, 31, 36), (176, 32, 32)


def flat(image: Any, at: int | None = None) -> Any:
    """The image (C, H, W), or of a volume (C, D, H, W) the slice ``at``, else the middle one."""
    if image.ndim < 4:
        return image
    return image[:, image.shape[1] // 2 if at is None else at]


def grey(image: Any, white: float) -> Any:
    """An image (C, H, W) as colours from 0 to 1 (H, W, 3); what has more than 8 bits is stretched
    between its own 0.5 and 99.5 percentiles."""
    x = np.asarray(image, np.float64)
    low, high = (0.0, white) if white == 255 else np.percentile(x, [0.5, 99.5])
    x = np.clip((x - low) / max(high - low, 1e-12), 0, 1)
    return np.moveaxis(x[:3] if len(x) >= 3 else np.repeat(x[:1], 3, axis=0), 0, 2)


def coloured(map: Any, below: Any) -> Any:
    """A map (H, W) over colours (H, W, 3): what is for the class in one colour, what is against it
    in another, both from its largest value down to nothing."""
    largest = np.abs(map).max()
    strength = np.abs(map) / largest if largest > 0 else np.zeros(map.shape)
    colour = np.where((map >= 0)[..., None], FOR, AGAINST) / 255
    return below + strength[..., None] * (colour - below)


def slice_of(map: Any) -> int | None:
    """The slice of a volume that has most of the map (C, D, H, W)."""
    return None if map.ndim < 4 else int(np.abs(map.sum(0)).sum((1, 2)).argmax())


def over(image: Any, white: float, map: Any, at: int | None) -> Any:
    """The map (C, …) over the image, of a volume over its slice ``at``."""
    plain = grey(flat(image, at), white)
    pale = 0.5 + 0.5 * plain.mean(2, keepdims=True).repeat(3, axis=2)
    return coloured(flat(map, at).sum(0), pale)


def tiles(maps: Any) -> Any:
    """Maps (C, …) side by side on white, each by its own largest value."""
    shown = flat(maps)[:TILES]
    across = math.ceil(math.sqrt(len(shown)))
    height, width = shown.shape[1:]
    sheet = np.ones((math.ceil(len(shown) / across) * (height + 1), across * (width + 1), 3))
    for i, map in enumerate(shown):
        top, left = i // across * (height + 1), i % across * (width + 1)
        one = np.ones((height, width, 3))
        sheet[top : top + height, left : left + width] = coloured(map, 0.93 * one)
    return sheet[:-1, :-1]


def beside(image: Any, white: float, maps: Mapping[str, Any], laid: bool) -> dict[str, Any]:
    """The image and maps of it by their titles; ``laid``: over the image, else as tiles. Of a
    volume all show the slice that has most of the first map."""
    at = slice_of(next(iter(maps.values()))) if laid else None
    title = "image" if at is None else f"image, slice {at + 1} of {image.shape[1]}"
    drawn = {
        name: over(image, white, map, at) if laid else tiles(map) for name, map in maps.items()
    }
    return {title: grey(flat(image, at), white), **drawn}


def panels(shown: Mapping[str, Any], says: Sequence[str], failed: bool) -> Image.Image:
    """Pictures side by side with their titles, and sentences below; the last in another colour if
    something failed."""
    font = ImageFont.load_default(13)
    made = [(title, _sized(picture)) for title, picture in shown.items()]
    height = max(picture.height for _, picture in made)
    longest = max(font.getlength(text) for text in says)
    width = max(len(made) * (SIDE + MARGIN) + MARGIN, math.ceil(longest) + 2 * MARGIN)
    sheet = Image.new("RGB", (width, height + LINE * (len(says) + 1) + 3 * MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (title, picture) in enumerate(made):
        left = MARGIN + i * (SIDE + MARGIN)
        draw.text((left, MARGIN), title, INK, font)
        sheet.paste(picture, (left, MARGIN + LINE))
    for i, text in enumerate(says):
        top = 2 * MARGIN + LINE + height + LINE * i
        wrong = failed and i == len(says) - 1
        draw.text((MARGIN, top), text, FAILED if wrong else INK, font)
    return sheet


def save(path: Path, picture: Image.Image) -> None:
    content, text = io.BytesIO(), PngImagePlugin.PngInfo()
    text.add_text("Software", "tensorgraph explain")
    picture.save(content, "PNG", optimize=True, pnginfo=text)
    write(path, content.getvalue(), b"tensorgraph explain")


def write(path: Path, content: bytes, mark: bytes) -> None:
    """In one step, so that a file is never half-written; over another only if it has the mark that
    our own have near their beginning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and mark not in path.read_bytes()[:400]:
        raise ConfigError(f"{path} is there already and is not ours; choose another folder: --out")
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _sized(colours: Any) -> Image.Image:
    pixels = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    scale = SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    way = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return image.resize(size, way)
