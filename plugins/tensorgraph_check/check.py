"""What a check is: a name, the kinds of things that it applies to, and a function that tries one.

The function returns figures, raises ``Failed``, or raises ``CouldNotRun``. Whatever else the code
under check raises is its failure too.
"""

from __future__ import annotations

import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tensorgraph import config
from tensorgraph_check.report import FAILED, NOT_RUN, PASSED, Report, Row

Try = Callable[[Any], str]
SEED = 20
OTHERS = ("tensorgraph", "tensorgraph_check", "tensorgraph_ops", "numpy")


class Failed(Exception):  # noqa: N818  an outcome, which never leaves this package
    """The thing is wrong: what was found, Python that shows it, and the way out if one is known."""

    def __init__(self, what: str, *, code: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.code, self.fix = code, fix


class CouldNotRun(Exception):  # noqa: N818  likewise
    """Why there is nothing to say about the thing: this is not a pass."""


@dataclass(frozen=True)
class Check:
    """One claim about a thing. ``needs`` names the checks without which its answer would only
    repeat theirs: where one of them has failed, it does not run."""

    name: str
    kinds: tuple[str, ...]
    function: Try
    needs: tuple[str, ...] = ()

    @property
    def claim(self) -> str:
        return " ".join((self.function.__doc__ or "").split())


def check(name: str, kinds: str, needs: str = "") -> Callable[[Try], Check]:
    """Declare a check by its function, whose docstring says what is claimed."""
    wanted = tuple(part.strip() for part in needs.split(",") if part.strip())
    return lambda function: Check(name, tuple(kinds.split()), function, wanted)


def run(subject: Any, checks: Iterable[Check], skip: Mapping[str, str]) -> Report:
    """Try all checks that apply to a subject; what its code raises ends one check only."""
    rows: list[Row] = []
    wrong: set[str] = set()
    for one in checks:
        if subject.kind not in one.kinds:
            continue
        row = _one(subject, one, wrong, skip)
        if row.outcome == FAILED or (row.outcome == NOT_RUN and wrong & set(one.needs)):
            wrong.add(one.name)
        rows.append(row)
        if one.name == "samples" and row.outcome != PASSED:
            break
    return Report(subject.kind, subject.name, tuple(rows))


def _one(subject: Any, one: Check, wrong: set[str], skip: Mapping[str, str]) -> Row:
    if one.name in skip:
        return Row(one.name, NOT_RUN, f"left out: {skip[one.name]}")
    if first := next((name for name in one.needs if name in wrong), ""):
        return Row(one.name, NOT_RUN, f"{first!r} has to pass first")
    start, random = time.perf_counter(), config.random_state()

    def row(outcome: str, detail: str, code: str = "", fix: str = "") -> Row:
        return Row(one.name, outcome, detail, code, fix, time.perf_counter() - start)

    try:
        with subject.scope(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config.set_random_state((SEED, 0))
            return row(PASSED, one.function(subject))
    except CouldNotRun as reason:
        return row(NOT_RUN, str(reason))
    except Failed as failure:
        return row(FAILED, str(failure), failure.code, failure.fix)
    except Exception as error:
        return row(FAILED, describe(error), subject.code())
    finally:
        config.set_random_state(random)


def describe(error: BaseException) -> str:
    """An error of the code under check, with its kind and the line of its author's."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [where(frame, line) for frame, line in frames if is_authors(frame)]
    return f"{type(error).__name__}: {error}{f' ({lines[-1]})' if lines else ''}"


def is_authors(frame: FrameType) -> bool:
    """Whether code is neither the engine's, nor an op's, nor NumPy's."""
    return str(frame.f_globals.get("__name__")).partition(".")[0] not in OTHERS


def where(frame: FrameType, line: int) -> str:
    path, here = Path(frame.f_code.co_filename), Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}, line {line}"
