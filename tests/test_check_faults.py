"""tensorgraph_check: every check catches the fault that is planted for it, and no other does."""

import pytest
from planted import FAULTS
from planted.table import catchers, checked, show
from tensorgraph_check.checks import CHECKS
from tensorgraph_check.report import FAILED

from tensorgraph.errors import PluginError


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_right_check_catches_it(fault):
    report = checked(fault)
    print(report)
    assert not report.ok
    assert catchers(fault, report) == [fault.check]
    row = report[fault.check]
    assert fault.says in f"{row.detail} {row.fix}"
    if fault.kind != "backend" and row.outcome == FAILED and fault.check != "signature":
        assert row.code, "what fails can be pasted"
        compile(row.code, "<pasted>", "exec")
    with pytest.raises(PluginError) as caught:
        report.require()
    assert row.detail in str(caught.value)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: f"{c.name}-{c.kinds[0]}")
def test_every_check_has_a_planted_fault(check):
    kinds = {fault.kind for fault in FAULTS if fault.check == check.name}
    assert kinds & set(check.kinds), f"plant a fault for {check.name!r} in tests/planted"
    assert kinds <= set(check.kinds)
    assert check.claim, "a check says what it claims"
    earlier = {c.name for c in CHECKS[: CHECKS.index(check)]}
    assert set(check.needs) <= earlier, "what it needs has run before it"


def test_the_table_says_what_was_missed(capsys):
    (fault,) = (f for f in FAULTS if f.label == "off by a factor")
    (sound,) = (f for f in FAULTS if f.label == "refuses all" and f.kind == "layer")
    assert show((fault,)) == 0
    assert "off by a factor            gradients" in capsys.readouterr().out
    right = type(sound)("state", "layer", "none at all", lambda: "flatten", "")
    assert show((right, fault)) == 1
    out = capsys.readouterr().out
    assert "NOT CAUGHT" in out
    assert "2 faults in 2 checks, 1 missed" in out
