"""``tensorgraph warm-up``, and what ``tensorgraph doctor`` says of Numba."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import time
from importlib import metadata
from importlib.util import find_spec
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tensorgraph.errors import BackendError

TOGETHER = 8  # small kernels that a process is given at a time
MISSING = "Numba is not installed here; pip install 'tensorgraph[jit]' brings it"


def warm_up(
    float64: Annotated[bool, typer.Option("--float64", help="Those of float64 too.")] = False,
) -> None:
    """Compile the kernels of backend numpy ahead.

    Numba compiles each kernel once on a machine, and keeps it. Without this, a training run does
    it beside its first steps. A kernel for an unusual shape may still be left for then.
    """
    if find_spec("numba") is None:
        raise BackendError(f"warm-up: {MISSING}")
    from tensorgraph_numba import warm

    names = [name for name in warm.every_name(float64) if not warm.cached(name)]
    out, start = Console(highlight=False), time.perf_counter()
    if names:
        _compile(names, out)
    seconds = time.perf_counter() - start
    done = f"{len(names)} kernels were compiled in {seconds:.0f} s" if names else "none was missing"
    out.print(f"{done}: {_state(float64)}", soft_wrap=True)


def _compile(names: list[str], out: Console) -> None:
    """Compile kernels in as many processes as there are cores."""
    from tensorgraph_numba import warm

    alone = [[name] for name in names if not warm.is_small(name)]
    small = [name for name in names if warm.is_small(name)]
    tasks = alone + [small[i : i + TOGETHER] for i in range(0, len(small), TOGETHER)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    columns = (TextColumn("compiling"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    pool = concurrent.futures.ProcessPoolExecutor(
        min(len(tasks), cores or 1),
        multiprocessing.get_context("spawn"),
        signal.signal,  # Ctrl-C is this process's affair
        (signal.SIGINT, signal.SIG_IGN),
    )
    with pool, Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("", total=len(names))
        running = {pool.submit(warm.build, task): task for task in tasks}
        try:
            for done in concurrent.futures.as_completed(running):
                done.result()
                progress.advance(bar, len(running[done]))
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, Exception):
                where = ", ".join(running[done])
                raise BackendError(f"warm-up: {where}: does not compile here: {error}") from error
            raise


def _state(float64: bool) -> str:
    """How many kernels are compiled, and where they lie."""
    from tensorgraph_numba import warm

    parts = []
    for dtype in ("float32", *(("float64",) if float64 else ())):
        names = [name for name in warm.every_name(True) if name.endswith(dtype)]
        parts.append(f"{sum(map(warm.cached, names))} of {len(names)} for {dtype}")
    return f"{', '.join(parts)}, in {warm.folder()}"


def check() -> list[tuple[str, str]]:
    """What ``tensorgraph doctor`` says of Numba."""
    if find_spec("numba") is None:
        return [("numba", f"{MISSING}, and with it faster kernels for backend numpy")]
    state = f"{metadata.version('numba')}, kernels compiled: {_state(True)}"
    return [("numba", f"{state}; 'tensorgraph warm-up' compiles what is missing")]
