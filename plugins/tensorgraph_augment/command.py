"""``tensorgraph show``: a picture of what each augmentation of a run file does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import tensorgraph as tg
from tensorgraph.errors import ConfigError

SMALLEST, LARGEST = 96, 192  # pixels that an image is shown with, along its longer side
TITLE, GAP = 16, 4  # pixels: of a line of text, between images


def show(
    what: Annotated[
        str, typer.Argument(metavar="augmentations", help="What to show.", show_default=False)
    ],
    run: Annotated[
        Path, typer.Argument(metavar="RUN.toml", help="A run file.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The PNG to write.")] = Path(
        "augmentations.png"
    ),
    samples: Annotated[int, typer.Option(min=2, max=64, help="How many images.")] = 8,
) -> None:
    """Draw what each augmentation of a run file makes of real training images.

    The first row has the images as they are.
    """
    if what != "augmentations":
        raise ConfigError(f"show {what}: it shows augmentations: tensorgraph show augmentations …")
    images, changed = tg.plugins.walk("augmented", run, samples)
    picture([("as they are", images), *changed]).save(out, format="PNG")
    print(f"{len(changed)} augmentations on {len(images)} images: {out}")


def picture(rows: list[tuple[str, Any]]) -> Any:
    """A row for each title and its images (n, C, H, W), or (n, C, D, H, W), whose middle slice is
    shown; black is 0 and white 1."""
    from PIL import Image, ImageDraw

    n, (height, width) = len(rows[0][1]), rows[0][1].shape[-2:]
    side = max(height, width)
    zoom = max(1, -(-SMALLEST // side)) if side < LARGEST else LARGEST / side
    size = round(width * zoom), round(height * zoom)
    way = Image.Resampling.NEAREST if zoom >= 1 else Image.Resampling.BOX
    down, across = size[1] + GAP, size[0] + GAP
    sheet = Image.new("RGB", (n * across + GAP, len(rows) * (down + TITLE) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (title, images) in enumerate(rows):
        top = i * (down + TITLE)
        draw.text((GAP, top + 2), title, fill="black")
        for j, image in enumerate(images):
            tile = Image.fromarray(_bytes(image)).resize(size, way)
            sheet.paste(tile, (GAP + j * across, top + TITLE))
    return sheet


def _bytes(image: Any) -> Any:
    """(H, W, 3), uint8."""
    import numpy as np

    plane = image[:, image.shape[1] // 2] if image.ndim == 4 else image
    grey = np.clip(plane * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(grey, (3, *plane.shape[1:])).transpose(1, 2, 0))
