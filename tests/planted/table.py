"""Checks planted faults, and prints which check caught which."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tensorgraph_check.report import NOT_RUN

import tensorgraph as tg
from planted.fault import Fault
from tensorgraph import execute, testing

ROW = "{:22} {:12} {:26} {:22} {:>6}"


def checked(fault: Fault) -> Any:
    """The report on a fault; what is registered for it is forgotten afterwards."""
    with _alone() as register:
        thing = fault.make()
        if fault.register is not None:
            kind, name, other = fault.register
            register(kind, name, thing if other is None else other)
        return testing.check(thing, fault.kind, **fault.given)


@contextmanager
def _alone() -> Iterator[Any]:
    tg.plugins.load()
    before = {hook: dict(r._things) for hook, r in tg.plugins.registries.items()}
    names = {name for name, _ in tg.plugins.manager.list_name_plugin()}
    declared = dict(tg.Op.declared)

    def register(kind: str, name: str, thing: Any) -> None:
        class Plugin:
            pass

        implementation = staticmethod(tg.hookimpl(lambda register: register(name, thing)))
        setattr(Plugin, f"register_{kind}", implementation)
        tg.plugins.register(Plugin, f"test-{name}")

    try:
        yield register
    finally:
        for hook, registry in tg.plugins.registries.items():
            for name in set(registry._things) - set(before[hook]):
                del registry._things[name], registry._plugins[name]
                tg.plugins._backends.pop(name, None)
        for name in {name for name, _ in tg.plugins.manager.list_name_plugin()} - names:
            tg.plugins.manager.unregister(name=name)
        tg.Op.declared.clear()
        tg.Op.declared.update(declared)
        execute._calls.clear()


def catchers(fault: Fault, report: Any) -> list[str]:
    """The checks that found a thing wrong. A thing that nothing can be tried with is found by the
    check of samples, which could not run: no pass either."""
    refused = [r.check for r in report.rows if (r.check, r.outcome) == ("samples", NOT_RUN)]
    return [*report.failed] or refused


def show(faults: tuple[Fault, ...]) -> int:
    """Print a line for each fault, and how many were missed, which is returned."""
    print(ROW.format("check", "of", "planted fault", "caught by", "s"))
    missed = 0
    for fault in sorted(faults, key=lambda f: f.check):
        report = checked(fault)
        found = catchers(fault, report)
        missed += fault.check not in found or report.ok
        seconds = sum(row.seconds for row in report.rows)
        told = ", ".join(found) or "NOT CAUGHT"
        print(ROW.format(fault.check, fault.kind, fault.label, told, f"{seconds:.2f}"))
    rows = len({fault.check for fault in faults})
    print(f"\n{len(faults)} faults in {rows} checks, {missed} missed")
    return missed
