"""tests/acme: the examples pass every check of their kind that can run on them."""

import json

import pytest
from strangers import ACME, install_acme, run_python

CHECKED = {"lion": 1, "snake": 4, "strict": 1}  # things, of snake's kernels those without Numba
NOT_RUN = {
    ("kernel", "broadcasting"),  # those of snake take large inputs alone
    ("kernel", "sizes 0 and 1"),
    ("backend", "own kernels"),  # strict has none: every op runs on its portable one
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKED)
def test_an_example_passes_its_checks(tmp_path, name):
    pytest.importorskip("array_api_strict", reason="array-api-strict is not installed (extra dev)")
    for each in ACME.iterdir():
        install_acme(tmp_path, each.name)
    code = f"import tensorgraph_cli as c; assert c.main(['check', 'acme_{name}', '--json']) == 0"
    found = json.loads(run_python(code, tmp_path))
    rows = [(report["kind"], row) for report in found["reports"] for row in report["rows"]]
    assert found["ok"] and len(found["reports"]) >= CHECKED[name]
    assert not [row for _, row in rows if row["outcome"] == "failed"]
    left = {(kind, row["check"]) for kind, row in rows if row["outcome"] != "passed"}
    assert left <= NOT_RUN, [row for _, row in rows if row["outcome"] != "passed"]
    assert sum(row["outcome"] == "passed" for _, row in rows) >= 7
