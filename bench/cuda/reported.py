"""A plugin of pytest: notes how each test ended, as soon as it has."""

from __future__ import annotations

import os
from typing import Any

from bench.cuda.process import note
from bench.cuda.setting import Setting

LENGTH = 400  # characters of what a failure says


def pytest_configure(config: Any) -> None:
    """In a rehearsal the tests, too, run on the emulated device."""
    setting = Setting.read(os.environ["TENSORGRAPH_BENCH_SETTING"])
    if setting.emulated:
        import tensorgraph as tg

        with tg.config.Scope():
            setting.backend()


def pytest_runtest_logreport(report: Any) -> None:
    if os.environ.get("PYTEST_XDIST_WORKER"):
        return  # the process that has the workers is told, too
    if report.when == "call" or report.outcome != "passed":
        lines = str(getattr(report.longrepr, "reprcrash", report.longrepr) or "")
        outcome = "failed" if report.failed else report.outcome
        note({"test": report.nodeid, "outcome": outcome, "why": lines[:LENGTH]})
