"""Convolution by cuDNN: graphs made with its frontend, kept as plans, run on plain addresses.

The frontend describes tensors by their logical (N, C, …) sizes and by strides, which say that the
memory is channels-last. It is given addresses as integers: arrays would be read through DLPack,
which orders them with CUDA's default stream and so cannot be captured into a CUDA graph.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from typing import Any

from tensorgraph.errors import BackendError
from tensorgraph_cupy.lib import UnsupportedError, first_line, loading
from tensorgraph_cupy.lib.choices import Choices
from tensorgraph_cupy.lib.convolution import Convolution, channels_last
from tensorgraph_cupy.lib.workspace import Workspace

WORKSPACE = 1 << 30  # bytes that a plan may ask for at most
PLANS = 4096  # kept at most
CANDIDATES = 8  # that are worth a try
UIDS = {"x": 1, "w": 2, "y": 3, "bias": 4}
TYPES = {"float32": "FLOAT", "bfloat16": "BFLOAT16"}
TRANSFORMS = ("WINOGRAD", "FFT")  # their errors are those of the largest value of a tile


class Plan:
    """A graph that is ready to run."""

    def __init__(self, graph: Any, *, by_order: bool) -> None:
        self.graph = graph
        self.workspace = int(graph.get_workspace_size())  # bytes
        self.order: list[int] | None = None
        if by_order:
            graph._prepare_variant_pack_template()
            self.order = graph._get_variant_pack_uids_sorted()


def open(device: Any) -> Cudnn:
    """The library for a stream of this machine's GPU; ``MissingError`` where it is not here."""
    return Cudnn(loading.cudnn(), device)


class Cudnn:
    """The library on one stream, with the plans of the convolutions that were asked for.

    ``place`` says where plans are made for: by default this machine's GPU, through a handle; a
    device that is only described, for tests, by ``device_property`` and ``sm_version``.
    """

    def __init__(self, frontend: Any, device: Any, place: dict[str, Any] | None = None) -> None:
        self.frontend = frontend
        self.device = device
        self.workspace = Workspace(device)
        self.version = int(frontend.backend_version())
        self.choices = Choices(device, "cuDNN", self.version)
        self.plans: dict[tuple[Convolution, int | None], Plan | UnsupportedError] = {}
        self.place = place
        self._handle: int | None = None
        self._stream: int | None = None
        self._lock = threading.RLock()  # the handle has one stream at a time
        # since 1.22 a graph takes its addresses as an array, without a dictionary on each call
        self.by_order = hasattr(frontend.pygraph, "_execute_with_raw_ptrs")

    @property
    def handle(self) -> int:
        """Made when it is first asked for, since it needs a GPU; never destroyed."""
        if self._handle is None:
            self._handle = self.frontend.create_handle()
        return self._handle

    def plan(self, problem: Convolution, choice: int | None = None) -> Plan:
        """The plan of a convolution; ``choice`` is the number of one of several, by default the
        one that was found fastest, or else the first that the heuristic names.

        Raises ``UnsupportedError`` where cuDNN has none for it.
        """
        with self._lock:
            chosen = self.choices.get(problem) if choice is None else choice
            try:
                return self._known(problem, chosen)
            except UnsupportedError:
                if choice is not None or chosen is None:
                    raise
                return self._known(problem, None)  # what was found with another frontend

    def _known(self, problem: Convolution, choice: int | None) -> Plan:
        plan = self.plans.get((problem, choice))
        if plan is None:
            try:
                plan = self._plan(problem, choice)
                self.workspace.expect(plan.workspace)
            except UnsupportedError as error:  # remembered too: to find out takes a while
                plan = error
            if len(self.plans) >= PLANS:
                self.plans.clear()
            self.plans[problem, choice] = plan
        if isinstance(plan, UnsupportedError):
            raise UnsupportedError(*plan.args)
        return plan

    def _plan(self, problem: Convolution, choice: int | None) -> Plan:
        graph = self.graph(problem)
        if choice is not None and not 0 <= choice < graph.get_execution_plan_count():
            raise UnsupportedError(f"cuDNN {self.version} has no plan {choice} for {problem}")
        try:
            if choice is None:
                graph.build_plans(self.frontend.build_plan_policy.HEURISTICS_CHOICE)
            else:
                graph.build_plan_at_index(choice)
        except Exception as error:
            raise self._failed(problem, error) from error
        return Plan(graph, by_order=self.by_order)

    def candidates(self, problem: Convolution) -> list[int]:
        """The numbers of the first plans of those that there are, in the heuristic's order."""
        found = []
        for number in range(self.graph(problem).get_execution_plan_count()):
            with contextlib.suppress(UnsupportedError):  # what was deselected is counted too
                self.plan(problem, number)
                found.append(number)
            if len(found) == CANDIDATES:
                break
        return found

    def run(self, plan: Plan, addresses: dict[str, int]) -> None:
        """Run it on these addresses, by the names "x", "w", "y" and "bias".

        Nothing here waits for the device or reads from it, so that a stream that is being captured
        takes the call into its graph.
        """
        with self._lock:
            if (stream := self.device.stream) != self._stream:
                self.frontend.set_stream(handle=self.handle, stream=stream)
                self._stream = stream
            workspace = self.workspace.address(plan.workspace)
            given = {UIDS[name]: address for name, address in addresses.items() if address}
            if plan.order is None:
                plan.graph.execute(given, workspace, handle=self.handle)
                return
            pointers = (ctypes.c_int64 * len(plan.order))(*[given[uid] for uid in plan.order])
            start, count = ctypes.addressof(pointers), len(pointers)
            plan.graph._execute_with_raw_ptrs(start, count, workspace, self.handle)

    def graph(self, problem: Convolution) -> Any:
        """The graph of a convolution, with its candidates and without a plan."""
        try:
            graph = self._described(problem.lifted())
            graph.validate()
            graph.build_operation_graph()
            modes = self.frontend.heur_mode
            graph.create_execution_plans([modes.A, modes.FALLBACK])
            self._restrict(graph, problem)
            graph.check_support()
        except Exception as error:
            raise self._failed(problem, error) from error
        return graph

    def _described(self, problem: Convolution) -> Any:
        types, shapes = self.frontend.data_type, problem.shapes()
        dtype = getattr(types, TYPES[problem.dtype])
        graph = self.frontend.pygraph(
            io_data_type=dtype,
            intermediate_data_type=types.FLOAT,
            compute_data_type=types.FLOAT,
            **(self.place or {"handle": self.handle}),
        )

        def tensor(name: str, shape: tuple[int, ...]) -> Any:
            strides = list(channels_last(shape))
            return graph.tensor(
                name=name, dim=list(shape), stride=strides, data_type=dtype, uid=UIDS[name]
            )

        geometry = {
            "pre_padding": [before for before, _ in problem.padding],
            "post_padding": [after for _, after in problem.padding],
            "stride": list(problem.stride),
            "dilation": list(problem.dilation),
        }
        x, w, y = (None if k == problem.kind else tensor(k, s) for k, s in shapes.items())
        if problem.kind == "y":
            out = graph.conv_fprop(image=x, weight=w, **geometry)
        elif problem.kind == "x":
            out = graph.conv_dgrad(loss=y, filter=w, **geometry)
        else:
            out = graph.conv_wgrad(image=x, loss=y, **geometry)
        if problem.epilogue != "none":
            bias = tensor("bias", (1, problem.filters, *[1] * len(problem.size)))
            out = graph.bias(name="add", input=out, bias=bias)
        if problem.epilogue == "bias_relu":
            out = graph.relu(name="relu", input=out)
        shape = shapes[problem.kind]  # of a gradient it has to be said: a stride leaves it open
        out.set_output(True).set_data_type(dtype).set_uid(UIDS[problem.kind])
        out.set_dim(list(shape)).set_stride(list(channels_last(shape)))
        return graph

    def _restrict(self, graph: Any, problem: Convolution) -> None:
        """Leave out what would round more than was asked for, what adds in the order in which
        threads happen to arrive, and what is compiled at run time (it takes a second or so)."""
        notes = self.frontend.numerical_note
        unwanted = ["NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"]
        if problem.dtype == "float32" and problem.arithmetic != "tf32":
            unwanted += ["DOWN_CONVERT_INPUTS", "TENSOR_CORE"]  # they take float32 only as TF32
        if problem.arithmetic == "strict":
            unwanted.extend(TRANSFORMS)
        graph.deselect_numeric_notes([getattr(notes, name) for name in unwanted])
        graph.deselect_behavior_notes([self.frontend.behavior_note.RUNTIME_COMPILATION])
        graph.deselect_workspace_greater_than(WORKSPACE)

    def _failed(self, problem: Convolution, error: Exception) -> BackendError:
        kind = UnsupportedError if self._is_refusal(error) else BackendError
        return kind(f"cuDNN {self.version} has no plan for {problem}: {first_line(error)}")

    def _is_refusal(self, error: Exception) -> bool:
        return isinstance(error, self.frontend.cudnnGraphNotSupportedError)
