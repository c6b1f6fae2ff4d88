"""A worker as its driver sees it: asked over pipes, and stopped while it is not its turn."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.compare.variants import Variant

ROOT = Path(__file__).resolve().parents[2]
THREADS = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS",
    "TENSORGRAPH_NUM_THREADS",
)  # fmt: skip


class LeftOut(Exception):  # noqa: N818
    """A variant that does not take part (any more): "missing" where it cannot, or "failed"."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Worker:
    """A process with one variant. Its compilers keep what they compile in the folder ``caches``,
    so that a new folder makes a cold start; unless that is what is measured, it is ``settled``."""

    def __init__(
        self, variant: Variant, threads: int, caches: Path, limit: float, settled: bool = True
    ) -> None:
        self.variant, self.threads, self.limit = variant, threads, limit
        caches.mkdir(parents=True, exist_ok=True)
        self.log = (caches / "stderr").open("w+b")
        words = ("--library", variant.library, "--option", variant.option)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.compare.worker", *words, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            bufsize=0,
            env=self._environment(caches, settled),
            start_new_session=True,  # a group of its own, to be stopped as one
        )
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))[:threads]
            os.sched_setaffinity(self.process.pid, cores)  # the pools that take what they find
        self.unread = b""

    def _environment(self, caches: Path, settled: bool) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        return {
            **os.environ,
            **dict.fromkeys(THREADS, str(self.threads)),
            "PYTHONPATH": path,
            "NUMBA_CACHE_DIR": str(caches / "numba"),
            "TORCHINDUCTOR_CACHE_DIR": str(caches / "inductor"),
            "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no processes of its own that outlive a turn
            "XDG_CACHE_HOME": str(caches / "other"),
            **self.variant.environment,
            **(self.variant.settled if settled else {}),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def begun(self) -> dict[str, Any]:
        """What it says first: how long the import took."""
        return self._answer()

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for the answer; ``LeftOut`` if there is none in time."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            raise self._ended() from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        descriptor, end = self.process.stdout.fileno(), time.monotonic() + self.limit
        while b"\n" not in self.unread:
            left = end - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise LeftOut("missing", f"no answer within {self.limit:g} s")
            part = os.read(descriptor, 1 << 16)
            if not part:
                raise self._ended()
            self.unread += part
        line, _, self.unread = self.unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        for kind in ("missing", "failed"):
            if kind in answer:
                raise LeftOut(kind, answer[kind])
        return answer

    def _ended(self) -> LeftOut:
        status = self.process.wait()
        self.log.seek(0)
        said = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return LeftOut("failed", f"ended with status {status}" + (f": {said[-1]}" if said else ""))

    def stop(self) -> None:
        """Let it do nothing at all until ``turn``: threads of PyTorch's OpenMP, for one, go on
        spinning after their work is done, and would slow down whoever comes next."""
        self._signal(signal.SIGSTOP)

    @contextmanager
    def turn(self) -> Iterator[Self]:
        """The worker runs within the block, and is stopped after it."""
        self._signal(signal.SIGCONT)
        try:
            yield self
        finally:
            self.stop()

    def _signal(self, number: int) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def close(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            if stream is not None:
                stream.close()
