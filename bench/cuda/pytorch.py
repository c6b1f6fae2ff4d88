"""PyTorch's side of a training step on the GPU: as users write it, tuned, compiled, and as one CUDA
graph of the whole step. With the device "cpu" the same code rehearses, but for streams and graphs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.compare.program import Request
from bench.compare.workloads import Workload

WARM_UP = 3  # steps before a graph is captured


@dataclass(frozen=True)
class Variant:
    """``tuned``: channels last, cuDNN's search for the fastest algorithm, a fused optimizer.
    ``graph``: the whole step in one CUDA graph. ``mode``: that of ``torch.compile``, if any.

    In bfloat16 every variant computes under autocast, and all have the same TF32 switches: what
    is compared is the same work in the same precision.
    """

    tuned: bool = True
    graph: bool = False
    mode: str | None = None


VARIANTS = {
    "eager": Variant(tuned=False),
    "tuned": Variant(),
    "graph": Variant(graph=True),
    "compile": Variant(mode="default"),
    "reduce-overhead": Variant(mode="reduce-overhead"),
    "max-autotune": Variant(mode="max-autotune"),
}


class PyTorch:
    """One way to run the step. All is asked for within ``active()``: PyTorch's switches are those
    of the whole process."""

    side = "PyTorch"

    def __init__(self, torch: Any, device: str, precision: str, variant: str) -> None:
        self.torch, self.device = torch, device
        self.precision, self.variant, self.how = precision, variant, VARIANTS[variant]
        self.cuda = device == "cuda"
        self.stream = torch.cuda.Stream() if self.cuda else None  # a non-blocking one
        self.layout = torch.channels_last if self.how.tuned else torch.contiguous_format
        self.feed: Feed | None = None
        self.step: Callable[..., Any]

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        backends, tf32 = self.torch.backends, self.precision != "float32"
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = tf32
        backends.cudnn.benchmark = self.how.tuned
        with self.torch.cuda.stream(self.stream) if self.stream else contextlib.nullcontext():
            yield

    def prepare(self, workload: Workload, weights: dict[str, Any], dropout: bool) -> None:
        from bench.compare.libraries.pytorch import Builder

        torch = self.torch
        torch.manual_seed(0)
        request = Request(
            workload, weights, "fused" if self.how.tuned else "eager", 0, True, dropout
        )
        builder = Builder(request)
        self.model: Any = builder.sequence(workload.network)
        builder.load()
        self.model.train().to(device=self.device, memory_format=self.layout)
        self.optimizer = self._optimizer(workload)
        self.criterion = torch.nn.functional.cross_entropy
        if workload.loss == "mse":
            self.criterion = torch.nn.functional.mse_loss
        self.forward: Callable[..., Any] = self._loss
        if self.how.mode:
            torch.compiler.reset()  # the eighth compilation of the same function would be the last
            self.forward = torch.compile(self._loss, dynamic=False, mode=self.how.mode)
        self.step = self._captured(workload) if self.how.graph else self._step
        self.feed = None

    def _optimizer(self, workload: Workload) -> Any:
        optim, parameters = self.torch.optim, self.model.parameters()
        options: dict[str, Any] = {"lr": workload.lr}
        if self.how.tuned:
            options["fused"] = True
        if workload.optimizer == "adam":
            if self.how.graph:
                options["capturable"] = True
            return optim.Adam(parameters, **options)
        return optim.SGD(parameters, momentum=workload.momentum, **options)

    def _autocast(self) -> Any:
        """Weights that are cast within a graph must not be kept beyond it."""
        if self.precision != "bfloat16":
            return contextlib.nullcontext()
        return self.torch.autocast(
            self.device, dtype=self.torch.bfloat16, cache_enabled=not self.how.graph
        )

    def _loss(self, x: Any, y: Any) -> Any:
        with self._autocast():
            return self.criterion(self.model(x), y)

    def _step(self, x: Any, y: Any) -> Any:
        loss = self.forward(self._laid_out(x), y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _laid_out(self, x: Any) -> Any:
        return x.contiguous(memory_format=self.layout) if x.ndim == 4 else x

    def _captured(self, workload: Workload) -> Callable[..., Any]:
        """The whole step as one graph, as PyTorch's notes on CUDA graphs have it: warm up on the
        stream of the capture, capture on static inputs, then copy inputs there and replay. What
        the warm-up did to weights and optimizer is undone."""
        torch, step = self.torch, self._step
        x = self._laid_out(torch.zeros((workload.batch, *workload.shape), device=self.device))
        y = torch.zeros(workload.batch, dtype=torch.int64, device=self.device)
        if workload.loss == "mse":
            y = torch.zeros((workload.batch, workload.outputs), device=self.device)
        before = {name: value.clone() for name, value in self.model.state_dict().items()}
        for _ in range(WARM_UP):
            step(x, y)
        self.optimizer.zero_grad(set_to_none=True)  # gradients of the capture lie in its pool
        replay: Callable[[], Any]
        if self.cuda:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self.stream):
                loss = step(x, y)

            def replay() -> Any:
                graph.replay()
                return loss
        else:

            def replay() -> Any:
                return step(x, y)

        self.model.load_state_dict(before)  # in place
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()

        def run(given: Any, target: Any) -> Any:
            x.copy_(given)
            y.copy_(target)
            return replay()

        return run

    def place(self, x: Any, y: Any) -> tuple[Any, ...]:
        images, labels = (self.torch.from_numpy(array).to(self.device) for array in (x, y))
        return self._laid_out(images), labels

    def step_from_host(self, x: Any, y: Any) -> Any:
        if not self.cuda:
            return self.step(*self.place(x, y))
        if self.feed is None:
            self.feed = Feed(self.torch, x, y)
        return self.feed.step(self.step, x, y)

    def read(self, loss: Any) -> float:
        return float(loss.item())

    def clock(self) -> Callable[[], float]:
        return EventClock(self.torch) if self.cuda else time.perf_counter

    def held(self) -> int | None:
        """Bytes that the allocator has taken from the GPU, the most since they were freed."""
        return int(self.torch.cuda.max_memory_reserved()) if self.cuda else None

    def free(self) -> None:
        """Give back to the GPU what nobody uses."""
        if self.cuda:
            self.torch.cuda.synchronize()
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()

    def settings(self) -> dict[str, Any]:
        """As PyTorch says it, not as it was asked for."""
        backends, group = self.torch.backends, self.optimizer.param_groups[0]
        weights = [w for w in self.model.parameters() if w.ndim == 4]
        last = [w.is_contiguous(memory_format=self.torch.channels_last) for w in weights]
        return {
            "tf32": [backends.cuda.matmul.allow_tf32, backends.cudnn.allow_tf32],
            "autocast": "bfloat16" if self.precision == "bfloat16" else None,
            "channels_last": self.how.tuned and bool(last) and all(last),
            "cudnn.benchmark": backends.cudnn.benchmark,
            "fused optimizer": bool(group["fused"]),
            "torch.compile": self.how.mode,
        }

    def figures(self) -> dict[str, Any]:
        return {}


class Feed:
    """Batches of NumPy's through two pinned buffers, and a stream that copies the next one while
    the step before is computed: the way that the other side's go."""

    def __init__(self, torch: Any, *batch: Any) -> None:
        self.torch, self.copying = torch, torch.cuda.Stream()
        self.slots = [Slot(torch, batch) for _ in range(2)]

    def step(self, run: Callable[..., Any], *batch: Any) -> Any:
        torch, slot = self.torch, self.slots[0]
        self.slots.reverse()
        slot.filled.synchronize()  # of the copy before: the host's side may be written to
        for pinned, array in zip(slot.pinned, batch, strict=True):
            pinned.copy_(torch.from_numpy(array))
        with torch.cuda.stream(self.copying):
            slot.taken.wait()
            for there, pinned in zip(slot.there, slot.pinned, strict=True):
                there.copy_(pinned, non_blocking=True)
            slot.filled.record()
        slot.filled.wait()
        out = run(*slot.there)
        slot.taken.record()
        return out


class Slot:
    """``filled``: an event after which the device's side has the batch; ``taken``: one after which
    it is free again. Nobody waits for events that were never recorded."""

    def __init__(self, torch: Any, batch: tuple[Any, ...]) -> None:
        like = [torch.from_numpy(array) for array in batch]
        self.pinned = [torch.empty(x.shape, dtype=x.dtype, pin_memory=True) for x in like]
        self.there = [torch.empty(x.shape, dtype=x.dtype, device="cuda") for x in like]
        self.filled, self.taken = torch.cuda.Event(), torch.cuda.Event()


class EventClock:
    """Like the backend's clock: a reading waits for all before it on the current stream, and gives
    the seconds by the GPU's events since the first."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.seconds = torch, 0.0
        self.last = self._event()

    def __call__(self) -> float:
        event = self._event()
        self.seconds += self.last.elapsed_time(event) / 1e3
        self.last = event
        return self.seconds

    def _event(self) -> Any:
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        event.synchronize()
        return event
