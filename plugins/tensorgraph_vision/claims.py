"""What a file's header claims, held against the file: before any pixel is decoded."""

from __future__ import annotations

from tensorgraph.errors import DataError

MOST = 8 * 1032  # values a byte: zlib makes 1032 bytes of one, of 8 black-white pixels each
ROOM, LIKELY = 1 << 28, 200  # values that any file may have; beyond that so many in a byte


def check(values: int, held: int) -> None:
    """Refuse a claim of ``values`` that a file of ``held`` bytes cannot, or hardly, hold."""
    if values > held * MOST:
        raise DataError(
            f"claims {values:,} values, which a file of {amount(held)} cannot hold: it is damaged, "
            "cut short or made to deceive"
        )
    if values > max(ROOM, held * LIKELY):
        raise DataError(
            f"is a file of {amount(held)} that claims {values:,} values: it is refused as a "
            "decompression bomb; if it is none, save it uncompressed"
        )


def amount(size: int) -> str:
    """So many bytes, in the unit that suits."""
    for unit, scale in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << scale:
            return f"{size / (1 << scale):.1f} {unit}"
    return f"{size} bytes"
