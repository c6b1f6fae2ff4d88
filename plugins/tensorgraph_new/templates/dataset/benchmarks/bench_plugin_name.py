"""How long the dataset ``plugin_name`` takes to load: ``pytest benchmarks``."""

import tensorgraph as tg


def bench_load(benchmark):
    benchmark(tg.datasets.plugin_name.load, None)
