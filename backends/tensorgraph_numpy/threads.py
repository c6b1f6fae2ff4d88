"""A few threads that share the work of one kernel, with BLAS on one thread in each of them.

A kernel that splits its work into shards gains more than BLAS does by threading a product alone:
the copies around the products run in parallel too. NumPy releases the GIL in copies, ufuncs and
products, so plain threads do.
"""

from __future__ import annotations

import contextvars
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

from threadpoolctl import ThreadpoolController

from tensorgraph.errors import ConfigError

VARIABLE = "TENSORGRAPH_NUM_THREADS"
Task = Callable[[], None]


def available_threads() -> int:
    """What ``TENSORGRAPH_NUM_THREADS`` says, or the cores that this process may run on."""
    given = os.environ.get(VARIABLE, "")
    if not given:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _cores()
    if not given.isascii() or not given.isdigit() or int(given) < 1:
        raise ConfigError(
            f"{VARIABLE}={given!r} is not a number from 1 on; unset it to use all cores"
        )
    return int(given)


def _cores() -> int:
    return os.cpu_count() or 1


class _Blas:
    """BLAS held to one thread while anybody needs it so, and given back its threads afterwards.

    Setting the number through the library itself takes 3 us; threadpoolctl's own context manager
    takes 13 us, and looking for the libraries takes milliseconds, so that is done once.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.libraries: list[tuple[Any, int]] | None = None

    def __enter__(self) -> None:
        with self.lock:
            self.users += 1
            if self.users > 1:
                return
            if self.libraries is None:
                found = ThreadpoolController().select(user_api="blas").lib_controllers
                self.libraries = [(library, 1) for library in found]
            self.libraries = [(library, library.get_num_threads()) for library, _ in self.libraries]
            for library, threads in self.libraries:
                if threads != 1:
                    library.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.users -= 1
            if not self.users:
                for library, threads in self.libraries or ():
                    if threads != 1:
                        library.set_num_threads(threads)


class _Place(threading.local):
    """Whether this thread is at one of several tasks that run side by side."""

    shared = False


_place = _Place()


class Pool:
    """Runs tasks side by side: the first on the caller's thread, the others on kept workers.

    A task that asks for threads in its turn gets none: all of them have work already.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.reset()

    def reset(self) -> None:
        """Forget the workers: after a fork they do not exist in the child."""
        self.blas = _Blas()
        self.lock = threading.Lock()
        self.queues: list[SimpleQueue[tuple[Task, SimpleQueue[BaseException | None]]]] = []

    def run(self, tasks: Sequence[Task]) -> None:
        """Run all tasks and return when all are done; an error of one of them is raised here.

        They see the context variables of the caller, such as ``numpy.errstate``.
        """
        if _place.shared:
            for task in tasks:
                task()
            return
        with self.blas:
            if len(tasks) == 1:
                tasks[0]()
                return
            done: SimpleQueue[BaseException | None] = SimpleQueue()
            for queue, task in zip(self._workers(len(tasks) - 1), tasks[1:], strict=True):
                queue.put((functools.partial(contextvars.copy_context().run, task), done))
            _place.shared = True
            try:
                tasks[0]()
            finally:
                _place.shared = False
                errors = [done.get() for _ in tasks[1:]]
            for error in errors:
                if error is not None:
                    raise error

    def _workers(self, count: int) -> list[Any]:
        with self.lock:
            while len(self.queues) < count:
                queue: SimpleQueue[Any] = SimpleQueue()
                name = f"tensorgraph-{len(self.queues) + 1}"
                threading.Thread(target=_work, args=(queue,), name=name, daemon=True).start()
                self.queues.append(queue)
            return self.queues[:count]


def _work(queue: SimpleQueue[tuple[Task, SimpleQueue[BaseException | None]]]) -> None:
    _place.shared = True
    while True:
        task, done = queue.get()
        error: BaseException | None = None
        try:
            task()
        except BaseException as caught:
            error = caught
        del task  # and the arrays that it holds, before the caller goes on
        done.put(error)


POOL = Pool(available_threads())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POOL.reset)


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Within the block kernels split their work into this many shards."""
    before, POOL.threads = POOL.threads, threads
    try:
        yield
    finally:
        POOL.threads = before


def shards(n: int, seconds: float) -> list[range]:
    """``n`` rows split evenly among the threads, or not where the work is too small to share.

    ``seconds`` is a guess at how long one thread would take. Within a task that runs beside others
    nothing is shared.
    """
    threads = POOL.threads if seconds > WORTH_SHARING and not _place.shared else 1
    count = max(1, min(n, threads))
    return [range(n * i // count, n * (i + 1) // count) for i in range(count)]


WORTH_SHARING = 250e-6  # handing a task to another thread and back takes 15 to 70 us
