"""The code blocks of the Markdown pages, run as a reader would run them.

A ``python`` block directly followed by a ``text`` block must print exactly that text.
``python tests/doc_blocks.py PAGE.md`` writes what the blocks really print into the page.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import NamedTuple

PATTERN = re.compile(r"```(\w+)\n(.*?)```(?:\n+```text\n(.*?)```)?", re.DOTALL)


class Block(NamedTuple):
    """One block: its language, its text, the output that the page shows and where it starts."""

    language: str
    code: str
    output: str | None
    line: int


def blocks(page: Path, language: str | None = None) -> list[Block]:
    text = page.read_text("utf-8")
    found = [
        Block(m[1], m[2], m[3], text.count("\n", 0, m.start()) + 1) for m in PATTERN.finditer(text)
    ]
    return [b for b in found if language in (None, b.language)]


def run(code: str) -> str:
    """Execute a block in a namespace of its own; what it prints, without trailing spaces."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "<block>", "exec"), {"__name__": "block"})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def write_outputs(page: Path) -> None:
    def renew(match: re.Match[str]) -> str:
        if match[1] != "python" or match[3] is None:
            return match[0]
        return f"```python\n{match[2]}```\n\n```text\n{run(match[2])}```"

    page.write_text(PATTERN.sub(renew, page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        write_outputs(Path(name))
