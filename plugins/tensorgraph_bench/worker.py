"""A process that times cases for a comparison: ``python -P -m tensorgraph_bench.worker``.

Requests are lines of JSON on standard input, answers lines on what was standard output; what
anybody prints goes to standard error. The first request is a selection and is answered by the names
of its cases. The others name a case, and say whether its values are to be verified.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from tensorgraph_bench import clock
from tensorgraph_bench.cases import Selection, cases
from tensorgraph_bench.verify import Ready, ready


class Worker:
    def __init__(self, request: dict[str, Any]) -> None:
        wanted: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
            for key, value in request.items()
        }
        self.cases = {str(case): case for case in cases(Selection(**wanted))}
        self.made: dict[str, Ready] = {}

    def answer(
        self, name: str, seconds: float, pace: list[int] | None, verify: bool
    ) -> dict[str, Any]:
        """Time a turn of a case, at a pace that was found before or is found now."""
        made, case = self.ready(name, verify), self.cases[name]
        now = clock.clock_of(made.backend)
        with case.pinned():
            found = clock.Pace(*pace) if pace else clock.pace(made.call, now, seconds)
            if pace:
                made.call()  # the other process has had the caches since
            return {"seconds": clock.turn(made.call, now, found), "pace": [*found]}

    def ready(self, name: str, verify: bool) -> Ready:
        if name not in self.made:
            self.made.clear()  # one case's data at a time
            self.made[name] = ready(self.cases[name], verify)
        return self.made[name]


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if worker is None:
                worker = Worker(request)
                answer: dict[str, Any] = {"cases": [*worker.cases]}
            else:
                answer = worker.answer(**request)
        except (Exception, MemoryError) as error:  # told to who asked
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
