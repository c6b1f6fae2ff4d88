"""Compares two sides: rounds of a process each, the cases timed in turns, until all is clear."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from tensorgraph.errors import BackendError, ConfigError
from tensorgraph_bench import results
from tensorgraph_bench.cases import Case, Selection
from tensorgraph_bench.gate import SLOWER, Comparison, Rule
from tensorgraph_bench.machine import fingerprint, machine
from tensorgraph_bench.sides import Process, Side, checked_out, prepare, working_tree

SECONDS = 0.025  # of a turn
TURNS = (0, 1, 1, 0, 1, 0, 0, 1)  # of base and head in a round: no drift favours one (Thue-Morse)
Say = Callable[[str], object]


class Outcome(NamedTuple):
    """What a comparison found: ``notes`` are cases that only one side has, ``failures`` those that
    the head cannot run, or gets wrong."""

    comparisons: list[Comparison]
    notes: list[str]
    failures: list[str]

    @property
    def status(self) -> int:
        """Of the command: 1 for a regression."""
        slower = any(each.judgement.verdict == SLOWER for each in self.comparisons)
        return 1 if slower or self.failures else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "comparisons": [
                {"name": each.name, **each.judgement._asdict(),
                 "rounds": {"base": each.base, "head": each.head}}
                for each in self.comparisons
            ],
            "notes": self.notes,
            "failures": self.failures,
        }  # fmt: skip


def with_revision(revision: str, selection: Selection, rule: Rule, say: Say) -> Outcome:
    """Compare the working tree with a revision of it."""
    tree = working_tree()
    with checked_out(revision, tree) as base, tempfile.TemporaryDirectory() as folder:
        sides = (
            prepare(revision, base, Path(folder) / "base"),
            prepare("the working tree", tree, Path(folder) / "head"),
        )
        return compare(sides, _absolute(selection), rule, say)


def _absolute(selection: Selection) -> Selection:
    paths = (str(Path(s).resolve()) if Path(s).exists() else s for s in selection.shapes)
    return selection._replace(shapes=tuple(paths))


def compare(sides: tuple[Side, Side], selection: Selection, rule: Rule, say: Say) -> Outcome:
    """Compare base and head, which are given in this order.

    A round starts a process of each, since where code and data happen to lie makes a process faster
    or slower as a whole (Kalibera and Jones, Rigorous benchmarking in reasonable time, 2013); they
    are timed in turns of some hundredths of a second, which a drift of the machine's speed hardly
    tells apart.
    """
    found: dict[str, Comparison] = {}
    notes: list[str] = []
    failures: list[str] = []
    for i in range(rule.most):
        if i and not any(each.open() for each in found.values()):
            break
        with ExitStack() as stack:
            pair = [stack.enter_context(Process(side)) for side in sides]
            names = [process.select(selection) for process in pair]
            if i == 0:
                notes += _only_one(names, sides)
                found = {name: Comparison(name, rule) for name in names[1] if name in names[0]}
                if not found:
                    raise ConfigError("--against: base and head have no case in common")
            wanted = [each for each in found.values() if each.open()]
            say(f"round {i + 1}: {len(wanted)} of {len(found)} cases")
            for each in wanted:
                try:
                    _round(pair, each, i)
                except BackendError as error:
                    del found[each.name]
                    whose = failures if str(error).startswith(sides[1].name) else notes
                    whose.append(str(error))
                    if not all(process.alive() for process in pair):
                        break  # the other cases have new processes in the next round
    return Outcome([*found.values()], notes, failures)


def _only_one(names: Sequence[Sequence[str]], sides: Sequence[Side]) -> list[str]:
    return [
        f"only in {side.name}: {name}"
        for side, own, others in zip(sides, names, reversed(names), strict=True)
        for name in own
        if name not in others
    ]


def _round(pair: Sequence[Process], comparison: Comparison, number: int) -> None:
    """Time a case in turns, and keep the better of each side's turns; both run as many calls.
    Values are verified when a case is timed for the first time."""
    pace = None
    best = [float("inf"), float("inf")]
    for turn in TURNS:
        which = turn ^ number % 2  # every other round begins with the head
        took, pace = pair[which].turn(comparison.name, SECONDS, pace, verify=not comparison.base)
        best[which] = min(best[which], took)
    comparison.base.append(best[0])
    comparison.head.append(best[1])


def with_file(path: Path, found: Iterable[Case], seconds: float, rule: Rule, say: Say) -> Outcome:
    """Compare with a result of ``--json`` of this machine: what it timed is timed again here, once,
    since the base cannot be asked again."""
    data = results.load(path)
    before = {row["name"]: row["seconds"] for row in data["cases"]}
    here = machine(results.devices({row["backend"] for row in data["cases"]}))
    _same_machine(path, data, here)
    both = [case for case in found if str(case) in before]
    if not both:
        raise ConfigError(f"--against {path}: none of the cases that are selected are in it")
    now = results.run(both, seconds, say)
    comparisons = []
    for row in now["cases"]:
        pairs = min(len(before[row["name"]]), len(row["seconds"]))
        comparisons.append(
            Comparison(row["name"], rule, before[row["name"]][:pairs], row["seconds"][:pairs])
        )
    failures = [f"{name}: {why}" for name, why in now["failures"].items()]
    return Outcome(comparisons, _changed(data["versions"], now["versions"]), failures)


def _same_machine(path: Path, data: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    if data["fingerprint"] == fingerprint(here):
        return
    keys = dict.fromkeys([*data["machine"], *here])
    apart = [
        f"{key} {data['machine'].get(key)} there and {here.get(key)} here"
        for key in keys
        if data["machine"].get(key) != here.get(key)
    ]
    raise ConfigError(
        f"--against {path}: it was measured on another machine: {'; '.join(apart)}. Times of two "
        "machines say nothing about the code; make the file anew here, or compare with a revision"
    )


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [
        f"{name} was {before.get(name, 'not there')} and is {now.get(name, 'not there')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
