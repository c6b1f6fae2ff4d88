"""The threads that share the work of NumPy's kernels."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from tensorgraph_numpy import threads
from tensorgraph_numpy.kernels import KERNELS
from threadpoolctl import threadpool_info

from tensorgraph.errors import ConfigError


@pytest.fixture(autouse=True)
def share_everything(monkeypatch):
    """Even the smallest work is shared, so that small shapes test the shards."""
    monkeypatch.setattr(threads, "WORTH_SHARING", 0.0)


def own(name):
    return next(k for k in KERNELS if k.op == name).run


def test_tasks_see_the_callers_context_and_share_nothing_themselves():
    seen = []

    def task():
        seen.append((np.geterr()["over"], len(threads.shards(100, 1.0))))

    with threads.use_threads(3), np.errstate(over="raise"):
        threads.POOL.run([task] * 3)
        assert len(threads.shards(100, 1.0)) == 3
    assert seen == [("raise", 1)] * 3


def test_blas_has_its_threads_back_after_a_call_and_one_during_it():
    def blas():
        return [library["num_threads"] for library in threadpool_info()
                if library["user_api"] == "blas"]  # fmt: skip

    before, during = blas(), []
    threads.POOL.run([lambda: during.append(blas())] * 2)
    assert during == [[1] * len(before)] * 2
    assert blas() == before
    with pytest.raises(ZeroDivisionError):
        threads.POOL.run([lambda: 1 / 0])
    assert blas() == before


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_a_task_is_raised_and_the_workers_live_on(failing):
    done = []
    tasks = [lambda: done.append(0), lambda: done.append(1)]
    tasks[failing] = lambda: [][1]
    with pytest.raises(IndexError):
        threads.POOL.run(tasks)
    assert done == [1 - failing]
    threads.POOL.run([lambda: done.append(2), lambda: done.append(3)])
    assert sorted(done)[-2:] == [2, 3]


def test_several_threads_may_call_kernels_at_once():
    x, w = np.ones((4, 3, 9, 9)), np.ones((2, 3, 3, 3))
    geometry = {"stride": (1, 1), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": 1}
    want = own("conv")(x, w, **geometry)
    wrong = []

    def call(scale):
        for _ in range(30):
            if not np.allclose(own("conv")(x * scale, w, **geometry), want * scale):
                wrong.append(scale)

    with threads.use_threads(2):
        callers = [threading.Thread(target=call, args=(i + 1,)) for i in range(3)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_has_workers_of_its_own():
    code = """
import os, signal, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads: that is the case here
from tensorgraph_numpy.threads import POOL
POOL.run([lambda: None] * 2)
child = os.fork()
if not child:
    signal.alarm(20)
    done = []
    POOL.run([lambda: done.append(1)] * 2)
    os._exit(0 if done == [1, 1] else 1)
raise SystemExit(os.waitpid(child, 0)[1])
"""
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_number_of_threads_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("TENSORGRAPH_NUM_THREADS", "3")
    assert threads.available_threads() == 3
    monkeypatch.delenv("TENSORGRAPH_NUM_THREADS")
    assert threads.available_threads() >= 1
    for wrong in ("0", "two", "-1", "1.5"):
        monkeypatch.setenv("TENSORGRAPH_NUM_THREADS", wrong)
        with pytest.raises(ConfigError, match=f"TENSORGRAPH_NUM_THREADS='{wrong}' is not a number"):
            threads.available_threads()


def test_small_work_stays_on_one_thread(monkeypatch):
    monkeypatch.setattr(threads, "WORTH_SHARING", 1e-4)
    with threads.use_threads(2):
        assert threads.shards(10, seconds=1e-5) == [range(10)]
        assert threads.shards(10, seconds=1e-3) == [range(5), range(5, 10)]
        assert threads.shards(1, seconds=1e-3) == [range(1)]
