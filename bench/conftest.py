"""Settings of ``pytest bench``: which cases there are, groups of kernels, and short rounds."""

import pytest
from tensorgraph_bench import clock

collect_ignore = ["bench_passes.py", "bench_tile.py", "bench_winograd.py"]  # scripts
DEFAULTS = {
    "--benchmark-group-by": "group",
    "--benchmark-columns": ["min", "median", "rounds", "iterations"],
    "--benchmark-min-time": clock.SHORTEST,  # of a batch of calls, which is waited for once
    "--benchmark-max-time": 0.2,
    "--benchmark-min-rounds": 3,
}


def pytest_addoption(parser):
    group = parser.getgroup("tensorgraph")
    group.addoption("--all-shapes", action="store_true", help="all published shapes: hours")
    group.addoption("--shapes", action="append", default=[], metavar="FILE|SET",
                    help="only these shapes, as of tensorgraph bench --shapes")  # fmt: skip


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Before pytest-benchmark reads its options: what was not given."""
    given = [word.partition("=")[0] for word in config.invocation_params.args]
    for option, value in DEFAULTS.items():
        if option not in given:
            setattr(config.option, option.removeprefix("--").replace("-", "_"), value)
