"""How long the command ``tensorgraph plugin_name`` takes: ``pytest benchmarks``."""

import tensorgraph as tg
from tensorgraph.backend import imported


def bench_command(benchmark, capsys):
    tg.plugins.load()
    command = imported(tg.commands["plugin_name"], "the command")
    benchmark(command, "lenet5")
