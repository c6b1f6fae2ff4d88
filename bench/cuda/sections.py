"""The sections of the benchmark, each in a process and within a share of the time of its own."""

from __future__ import annotations

import faulthandler
import functools
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.cuda.process import Part, note
from bench.cuda.results import Results
from bench.cuda.setting import Setting

SETTING = "TENSORGRAPH_BENCH_SETTING"
GRACE = 5.0  # seconds between a section's deadline and its end, at most


class Section(NamedTuple):
    """``module.run(setting, note)`` gets ``share`` of the time that is left, of the shares of
    those that have not run yet: what one does not use is there for the others. ``again``: where
    its process is lost, as after an address that is none on the GPU, another goes on with what
    ``process.earlier()`` does not have."""

    name: str
    module: str
    share: float
    again: bool = False


SECTIONS = {
    section.name: section
    for section in (
        Section("limits", "bench.cuda.limits", 2),
        Section("conformance", "bench.cuda.conformance", 8),
        Section("leak", "bench.cuda.leak", 2),
        Section("kernels", "bench.cuda.kernels", 4, again=True),
        Section("algorithms", "bench.cuda.algorithms", 1),
        Section("accuracy", "bench.cuda.accuracy", 3),  # nothing, without images
        Section("training", "bench.cuda.training", 12),  # uses all the time there is
    )
}


def run_all(
    sections: Sequence[Section],
    setting: Setting,
    results: Results,
    folder: Path,
    say: Callable[[str], object],
) -> None:
    """Run them in turn until the setting's deadline; each row is in the results as it comes."""
    for i, section in enumerate(sections):
        now = time.monotonic()
        share = section.share / sum(s.share for s in sections[i:])
        seconds = max(0.0, setting.deadline - now) * share
        say(f"{section.name}: at most {seconds:.0f} s")
        entry = results.begin(section.name, seconds)
        due = now + seconds - min(GRACE, seconds / 10)
        given = Setting(setting.emulated, setting.small, due, setting.data)
        goes_on = True
        while goes_on:
            known = len(entry["rows"])
            part = Part(
                ["bench.cuda.sections", section.module],
                folder / section.name,
                environment={SETTING: given.text()},
            )
            failed = part.follow(now + seconds, functools.partial(results.add, entry))
            came = len(entry["rows"]) > known  # else the next one would end as this one did
            goes_on = bool(section.again and failed and came and time.monotonic() < due)
            if goes_on:
                say(f"{section.name}: another process goes on after one {failed}")
        results.finish(entry, failed)
        say(f"{section.name}: {entry['ended']}, {len(entry['rows'])} rows, {entry['seconds']} s")
        if failed:
            say(failed)


def main() -> None:
    """The process of one section: where it hangs is said shortly before it is ended."""
    setting = Setting.read(os.environ[SETTING])
    faulthandler.dump_traceback_later(max(0.1, setting.left()), file=sys.stderr)
    importlib.import_module(sys.argv[1]).run(setting, note)


if __name__ == "__main__":
    main()
