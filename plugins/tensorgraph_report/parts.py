"""What sections are made of, as HTML: paragraphs, tables, figures, galleries of small pictures."""

from __future__ import annotations

import base64
import functools
import io
import re
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBER = re.compile(r"–|[-+−]?\d[\d,.]*(e[-+]?\d+)?(\s?%)?(\s…\s[-+−]?\d[\d,.]*)?(\s\(.+\))?")
TILE = 100  # pixels: the longer side of a small picture
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b5b5b", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (7, 3)))
# of every plot; the colours are of Okabe and Ito (2008), which everybody can tell apart
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": "#4a5360",
    "axes.labelcolor": "#1b1f24",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4a5360",
    "ytick.color": "#4a5360",
    "xtick.labelcolor": "#1b1f24",
    "ytick.labelcolor": "#1b1f24",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "tensorgraph",  # the same run gives the same file
}


@functools.cache
def environment() -> Environment:
    return Environment(
        loader=PackageLoader("tensorgraph_report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _macro(name: str, *arguments: Any) -> str:
    module: Any = environment().get_template("parts.html").module
    return str(getattr(module, name)(*arguments))


def text(sentence: Any, kind: str = "") -> str:
    return str(Markup('<p class="{}">{}</p>\n').format(kind, sentence)).replace(' class=""', "")


def listing(sentences: Iterable[Any]) -> str:
    """A list with a point for each sentence."""
    return _macro("listing", list(sentences))


def items(found: Iterable[tuple[int, str, str, str]]) -> str:
    """Items of a checklist: number, what is asked for, what is filled in, what is to be added."""
    return _macro("items", list(found))


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str, folded: str) -> str:
    """Columns of numbers are aligned to the right; None is shown as a dash. A ``head`` of empty
    texts is left out."""
    cells = [["–" if cell is None else cell for cell in row] for row in rows]
    right = [
        i > 0 and bool(rows) and all(NUMBER.fullmatch(str(row[i])) for row in cells)
        for i in range(len(head))
    ]
    mark = f"t{zlib.crc32(f'{caption}{head}{cells}'.encode()):08x}"  # a name for the caption
    return _macro("table", head, cells, right, caption, folded, mark)


def figure(drawn: Figure, caption: str, alt: str) -> str:
    svg = io.BytesIO()
    drawn.savefig(svg, format="svg", metadata={"Date": None})
    return _macro("figure", data_uri("image/svg+xml", svg.getvalue()), *_size(drawn), caption, alt)


def _size(drawn: Figure) -> tuple[int, int]:
    width, height = drawn.get_size_inches()
    return round(width * 96), round(height * 96)


def beside(figures: Iterable[str]) -> str:
    shown = [Markup(x) for x in figures if x]
    return str(Markup('<div class="beside">{}</div>\n').format(Markup("").join(shown)))


def gallery(shown: Sequence[tuple[Any, float, str]], caption: str, alt: str) -> str:
    """``shown``: image (C, H, W) or (C, D, H, W), its white, and what is said of it."""
    tiles = [
        (picture(image, white), *tile_size(image), f"{alt}, {own}", own)
        for image, white, own in shown
    ]
    return _macro("gallery", tiles, caption)


def tile_size(image: Any) -> tuple[int, int]:
    """Width and height on the page, in pixels; the longer side is ``TILE``."""
    height, width = image.shape[-2:]
    scale = TILE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def picture(image: Any, white: float) -> str:
    """The data URI of a new file of the pixels alone: nothing else of the image's own comes along.

    Of a volume the middle slice. What has more than 8 bits is stretched between its own 0.5 and
    99.5 percentiles. Small images are kept as they are (PNG), large ones made small (JPEG).
    """
    from PIL import Image

    if image.ndim == 4:
        image = image[:, image.shape[1] // 2]
    x = np.asarray(image, np.float64)
    low, high = (0.0, white) if white == 255 else np.percentile(x, [0.5, 99.5])
    x = np.clip((x - low) / max(high - low, 1e-12), 0, 1) * 255
    pixels = np.rint(x).astype(np.uint8)
    flat = np.moveaxis(pixels[:3], 0, 2) if len(pixels) >= 3 else pixels[0]
    made = Image.fromarray(np.ascontiguousarray(flat))
    out = io.BytesIO()
    if max(made.size) <= TILE:
        made.save(out, "PNG", optimize=True)
        return data_uri("image/png", out.getvalue())
    made.thumbnail((2 * TILE, 2 * TILE))  # sharp on dense screens
    made.save(out, "JPEG", quality=85, optimize=True)
    return data_uri("image/jpeg", out.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def interval(row: dict[str, Any] | None, digits: int = 3) -> str:
    """ "0.912 … 0.958", or a dash."""
    if not row or row.get("low") is None:
        return "–"
    return f"{row['low']:.{digits}f}\u00a0…\u00a0{row['high']:.{digits}f}"


def value(row: dict[str, Any] | None, digits: int = 3) -> str:
    if not row or row.get("value") is None:
        return "–"
    return f"{row['value']:.{digits}f}"


def badge(level: str) -> Markup:
    """A finding's level: a sign and a word, so that its colour says nothing alone."""
    signs = {"error": "✕", "warning": "!", "fine": "✓"}
    kind = level.replace(" ", "-")
    return Markup('<strong class="badge {}">{} {}</strong>').format(
        escape(kind), signs.get(level, "–"), level
    )
