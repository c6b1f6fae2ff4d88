"""A plugin as a whole: for what it brings of kinds that there are no checks of."""

from __future__ import annotations

from collections.abc import Sequence

from tensorgraph_check.report import NOT_RUN, PASSED, Report, Row
from tensorgraph_check.subject import Subject


class PluginSubject(Subject):
    """A plugin, and the (kind, name) of what it registers that nothing else here checks."""

    kind = "plugin"

    def __init__(self, name: str, brought: Sequence[tuple[str, str]]) -> None:
        super().__init__(name, None)
        self.brought = brought

    def report(self) -> Report:
        """That it is registered, and that nothing more is known: this is not a pass."""
        names = ", ".join(f"{kind} {name!r}" for kind, name in self.brought)
        kinds = " or ".join(dict.fromkeys(kind for kind, _ in self.brought))
        reason = f"there are no checks of a {kinds}: its own tests say whether it is right"
        rows = Row("registered", PASSED, names), Row("behaviour", NOT_RUN, reason)
        return Report(self.kind, self.name, rows)
