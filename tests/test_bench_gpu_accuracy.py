"""The accuracies of bench/gpu.py, rehearsed on the processor. Nothing here is a test of a GPU."""

import pytest
from bench_gpu_help import emulates, rehearsing

from bench.cuda import accuracy


@pytest.mark.slow
@emulates
def test_accuracies_are_compared_and_runs_change_the_backend(monkeypatch):
    rows = []
    with rehearsing(monkeypatch) as setting:
        accuracy.run(setting, rows.append)
    trained = [r for r in rows if "trained" in r]
    assert [r["backend"] for r in trained] == ["cupy", "numpy"]
    assert [r["resumed"] for r in rows if "resumed" in r] == [
        "digits, from cupy to numpy",
        "digits, from numpy to cupy",
    ]
    assert all(r["off"] < 1e-3 and len(r["losses"]) == 2 for r in rows if "resumed" in r)
    found = rows[-1]["accuracies"]
    assert found["cupy"] == pytest.approx(found["numpy"], abs=0.01)
    assert [r["reached"] for r in rows if "resumed" in r] == [True, True]


def test_what_is_kept_of_numpy_is_of_the_recipes():
    for recipe in accuracy.RECIPES:
        rows = accuracy.kept(recipe)
        assert [row["run"] for row in rows] == list(accuracy.SEEDS)
        assert all(len(row["losses"]) == recipe.epochs for row in rows)
    assert accuracy.kept(recipe._replace(epochs=2)) == []


def test_accuracies_within_the_spread_of_seeds():
    def rows(*values):
        return [{"accuracy": v} for v in values]

    recipe = accuracy.RECIPES[0]
    near = {"cupy": rows(0.97, 0.98, 0.99), "numpy": rows(0.98, 0.985, 0.99)}
    assert accuracy.compared(recipe, near)["reached"] is True
    far = {"cupy": rows(0.95, 0.951, 0.952), "numpy": rows(0.98, 0.981, 0.982)}
    assert accuracy.compared(recipe, far)["reached"] is False
