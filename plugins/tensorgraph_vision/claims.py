"""What a file's header claims, held against the file: before any pixel is decoded."""

from __future__ import annotations

from tensorgraph.errors import DataError

DEFLATE = 1032  # what a byte of zlib's can become at most; pictures are not packed tighter either
ROOM, LIKELY = 256 << 20, 200  # what any file may become, and beyond that so many times its size


def check(claimed: int, held: int) -> None:
    """Refuse ``claimed`` bytes of pixels that a file of ``held`` bytes cannot, or hardly, hold."""
    if claimed > held * DEFLATE:
        raise DataError(
            f"claims {amount(claimed)} of pixels, which a file of {amount(held)} cannot hold: it "
            "is damaged, cut short or made to deceive"
        )
    if claimed > max(ROOM, held * LIKELY):
        raise DataError(
            f"is a file of {amount(held)} that claims {amount(claimed)} of pixels: it is refused "
            "as a decompression bomb; if it is none, save it uncompressed"
        )


def amount(size: int) -> str:
    """So many bytes, in the unit that suits."""
    for unit, scale in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << scale:
            return f"{size / (1 << scale):.1f} {unit}"
    return f"{size} bytes"
