"""tensorgraph_check: every check catches the fault that is planted for it, and no other does."""

import pytest
from check_faults import FAULTS
from tensorgraph_check.checks import CHECKS
from tensorgraph_check.report import FAILED, NOT_RUN

import tensorgraph as tg
from tensorgraph import execute, testing
from tensorgraph.errors import PluginError


@pytest.fixture
def registered(monkeypatch):
    """Registers a thing for the test; what was registered in it is forgotten afterwards."""
    tg.plugins.load()
    before = {hook: dict(r._things) for hook, r in tg.plugins.registries.items()}
    names = {name for name, _ in tg.plugins.manager.list_name_plugin()}

    def register(kind, name, thing):
        class Plugin:
            pass

        hook = f"register_{kind}"
        implementation = staticmethod(tg.hookimpl(lambda register: register(name, thing)))
        setattr(Plugin, hook, implementation)
        tg.plugins.register(Plugin, f"test-{name}")

    monkeypatch.setattr(tg.Op, "declared", dict(tg.Op.declared))
    yield register
    for hook, registry in tg.plugins.registries.items():
        for name in set(registry._things) - set(before[hook]):
            del registry._things[name], registry._plugins[name]
            tg.plugins._backends.pop(name, None)
    for name in {name for name, _ in tg.plugins.manager.list_name_plugin()} - names:
        tg.plugins.manager.unregister(name=name)
    execute._calls.clear()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_right_check_catches_it(fault, registered):
    thing = fault.make()
    if fault.register is not None:
        kind, name, other = fault.register
        registered(kind, name, thing if other is None else other)
    report = testing.check(thing, fault.kind, **fault.given)
    print(report)
    assert not report.ok
    row = report[fault.check]
    if fault.check == "samples":
        assert (row.outcome, report.failed) == (NOT_RUN, ())
    else:
        assert report.failed == (fault.check,)
        assert row.outcome == FAILED
    assert fault.says in f"{row.detail} {row.fix}"
    if row.code:
        compile(row.code, "<pasted>", "exec")
    with pytest.raises(PluginError) as caught:
        report.require()
    assert row.detail in str(caught.value)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: f"{c.name}-{c.kinds[0]}")
def test_every_check_has_a_planted_fault(check):
    kinds = {fault.kind for fault in FAULTS if fault.check == check.name}
    assert kinds & set(check.kinds), f"plant a fault for {check.name!r} in tests/check_faults.py"
    assert kinds <= set(check.kinds)
    assert check.claim, "a check says what it claims"
    earlier = {c.name for c in CHECKS[: CHECKS.index(check)]}
    assert set(check.needs) <= earlier, "what it needs has run before it"
