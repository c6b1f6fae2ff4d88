"""The report of a check: a row for each claim, as a table for people and JSON for machines."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from typing import Any

from tensorgraph.errors import PluginError

PASSED, FAILED, NOT_RUN = "passed", "failed", "could not run"


@dataclasses.dataclass(frozen=True)
class Row:
    """What one check found: figures, what is wrong, or why it could not run."""

    check: str
    outcome: str
    detail: str
    code: str = ""  # Python to paste, which shows the failure
    fix: str = ""
    seconds: float = 0.0


@dataclasses.dataclass(frozen=True)
class Report:
    """All that was checked of one thing. It raises nothing by itself: ``require`` does."""

    kind: str
    name: str
    rows: tuple[Row, ...]

    @property
    def ok(self) -> bool:
        """Whether something passed and nothing failed. What could not run is not a pass; where no
        input is known to try, nothing is shown at all."""
        found = {row.outcome for row in self.rows}
        tried = all(row.outcome == PASSED for row in self.rows if row.check == "samples")
        return PASSED in found and FAILED not in found and tried

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(row.check for row in self.rows if row.outcome == FAILED)

    def __getitem__(self, check: str) -> Row:
        return next(row for row in self.rows if row.check == check)

    def summary(self) -> str:
        found = Counter(row.outcome for row in self.rows)
        counts = ", ".join(f"{found[x]} {x}" for x in (PASSED, FAILED, NOT_RUN) if found[x])
        return f"{self.kind} {self.name!r}: {counts or 'nothing to check'}"

    def require(self) -> Report:
        """The report itself if it is ``ok``. Raises ``PluginError`` with all that failed."""
        if self.ok:
            return self
        wrong = [row for row in self.rows if row.outcome == FAILED]
        wrong = wrong or [row for row in self.rows if row.outcome == NOT_RUN]
        raise PluginError("\n".join([self.summary(), *map(_paragraph, wrong)]))

    def to_json(self) -> str:
        return json.dumps(self.table(), indent=1, ensure_ascii=False)

    def table(self) -> dict[str, Any]:
        """What ``to_json`` writes, as dictionaries."""
        rows = [{**dataclasses.asdict(r), "seconds": round(r.seconds, 4)} for r in self.rows]
        return {"kind": self.kind, "name": self.name, "ok": self.ok, "rows": rows}

    def __str__(self) -> str:
        return "\n".join([self.summary(), *map(_paragraph, self.rows)])

    def print(self) -> None:
        """The table on standard output, then what failed, to be pasted."""
        import sys

        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
        colours = {PASSED: "green", FAILED: "red", NOT_RUN: "yellow"}
        table = Table(box=None, pad_edge=False, title_justify="left", title_style="bold")
        table.title = escape(f"{self.kind} {self.name!r}")
        for column in ("check", "outcome", "figures, or the reason"):
            table.add_column(column, header_style="dim", overflow="fold")
        for row in self.rows:
            colour = colours[row.outcome]
            table.add_row(row.check, f"[{colour}]{row.outcome}[/]", escape(row.detail))
        console.print(table)
        for row in self.rows:
            if row.outcome == FAILED and (row.code or row.fix):
                fix = f": {escape(row.fix)}" if row.fix else ""
                console.print(f"\n[bold red]{row.check}[/]{fix}")
                if row.code:
                    console.print(row.code, markup=False, soft_wrap=True)
        console.print(f"\n{escape(self.summary())}")


def _paragraph(row: Row) -> str:
    lines = [f"  {row.check}: {row.outcome}: {row.detail}"]
    if row.outcome == FAILED:
        lines += [f"    {row.fix}"] if row.fix else []
        lines += [f"    {line}" for line in row.code.splitlines()]
    return "\n".join(lines)
