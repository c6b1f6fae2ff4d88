"""The CUDA sources, as texts that are whole: with what they include and what they are made for."""

from __future__ import annotations

import functools
import re
from pathlib import Path

FOLDER = Path(__file__).parent
STORAGE = {"float32": "float", "bfloat16": "bfloat16"}  # dtypes → the types that memory holds


@functools.cache
def source(file: str, **macros: str | int) -> str:
    """The text of ``cuda/<file>`` with these macros defined and each ``#include "…"`` put in.

    A source is made for one type of storage and for constants that are worth unrolling: macros say
    which. Macros instead of templates, so that kernels keep their plain names; and one text without
    includes, so that the text alone is what compiled kernels are kept by.
    """
    lines = [f"#define {name} {value}" for name, value in sorted(macros.items())]
    return "\n".join([*lines, _read(file)])


def complete(file: str, text: str) -> str:
    """A text with its includes put in; ``file`` is its name in the compiler's messages."""
    lines = [f'#line 1 "{file}"']
    for number, line in enumerate(text.splitlines(), 1):
        found = re.fullmatch(r'#include "(.+)"', line)
        lines += [_read(found[1]), f'#line {number + 1} "{file}"'] if found else [line]
    return "\n".join([*lines, ""])


@functools.cache
def _read(file: str) -> str:
    return complete(file, (FOLDER / file).read_text("utf-8"))
