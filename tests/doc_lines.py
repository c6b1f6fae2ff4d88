"""Links from the pages to lines of code: found again by name, so that they never go stale.

A link reads ``[`name`, file.py:10-20](../path/to/file.py#L10-L20)``; ``name`` is a function, class,
method (``Class.method``) or variable of that file. ``python tests/doc_lines.py PAGE.md`` renews
the lines.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

LINK = re.compile(r"\[`([\w.]+)`[^\]]*\]\(([\w./]+\.py)(?:#L\d+-L\d+)?\)")


def lines_of(path: Path, name: str) -> tuple[int, int]:
    """The first and last line of a definition, with what is attached to it: an op's kernel and
    gradient rule follow its shape rule as ``@name.kernel`` and ``name.vjp(…)``."""
    body: list[ast.stmt] = ast.parse(path.read_text("utf-8")).body
    *outer, last = name.split(".")
    for part in outer:
        body = next(s for s in body if isinstance(s, ast.ClassDef) and s.name == part).body
    index = next((i for i, s in enumerate(body) if last in _defines(s)), None)
    if index is None:
        raise LookupError(f"{path} defines no {name}")
    end = index
    while end + 1 < len(body) and _belongs(body[end + 1], last):
        end += 1
    first = body[index]
    decorators = getattr(first, "decorator_list", [])
    start = min([first.lineno, *(d.lineno for d in decorators)])
    return start, body[end].end_lineno or start


def _defines(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign):
        return {t.id for t in statement.targets if isinstance(t, ast.Name)}
    return set()


def _belongs(statement: ast.stmt, name: str) -> bool:
    calls = list(getattr(statement, "decorator_list", []))
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        calls.append(statement.value.func)
    attributes = [c.value for c in calls if isinstance(c, ast.Attribute)]
    return any(isinstance(owner, ast.Name) and owner.id == name for owner in attributes)


def renewed(page: Path) -> str:
    """The text of the page with the lines of every link as they are now."""

    def renew(match: re.Match[str]) -> str:
        start, end = lines_of(page.parent / match[2], match[1])
        file = Path(match[2]).name
        return f"[`{match[1]}`, {file}:{start}-{end}]({match[2]}#L{start}-L{end})"

    return LINK.sub(renew, page.read_text("utf-8"))


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(renewed(Path(name)), "utf-8")
