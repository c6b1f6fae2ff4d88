"""NumPy in the place of cuDNN's frontend: for tests without a GPU.

Graphs are kept as the JSON that the real frontend prints, and run from that by ``interpret``, on
the bytes at the addresses that are given. So a wrong shape, stride, padding or address gives wrong
numbers here too. What it does not show: whether the real library has a plan, how it rounds, and how
fast it is.
"""

# ruff: noqa: N815  the names are those of the library
import ctypes
import itertools
import json

import numpy as np
from cuda_memory import load, store, to_tf32


class Names:
    """An enumeration: each of its members is its name."""

    def __getattr__(self, name):
        return name


class NotSupportedError(RuntimeError):
    """Stands for the frontend's cudnnGraphNotSupportedError."""


class FrontendDouble:
    """The part of the frontend that is used: graphs are kept as the JSON that the real ones
    print, and run from it by ``interpret``."""

    data_type = heur_mode = build_plan_policy = numerical_note = behavior_note = Names()
    cudnnGraphNotSupportedError = NotSupportedError

    def __init__(self, device, refuses=lambda graph: False, fast=True):
        self.device = device
        self.stream = None
        self.built = 0
        self.calls = []

        class Bound(FastGraph if fast else Graph):
            library = self

        self.refuses = refuses
        self.pygraph = Bound

    def backend_version(self):
        return 91900

    def create_handle(self):
        return 7

    def set_stream(self, handle, stream):
        assert handle == 7
        self.stream = stream


class Node:
    """A tensor of a graph."""

    def __init__(self, graph, **more):
        self.__dict__["tensor"] = {"uid": 100 + len(graph.tensors), "data_type": None, **more}
        graph.tensors.append(self)

    def __getattr__(self, name):
        def set_it(value):
            key = {"set_output": "is_output"}.get(name, name.removeprefix("set_"))
            self.tensor[key] = value
            return self

        return set_it


class Graph:
    library: FrontendDouble

    def __init__(self, **place):
        self.place = place
        self.nodes, self.tensors, self.done, self.unwanted = [], [], [], []

    def tensor(self, **attributes):
        return Node(self, **attributes)

    def node(self, tag, inputs, output, **attributes):
        out = Node(self)
        self.nodes.append({"tag": tag, "in": inputs, "out": {output: out}, **attributes})
        return out

    def conv_fprop(self, image, weight, **geometry):
        return self.node("CONV_FPROP", {"X": image, "W": weight}, "Y", **geometry)

    def conv_dgrad(self, loss, filter, **geometry):
        return self.node("CONV_DGRAD", {"DY": loss, "W": filter}, "DX", **geometry)

    def conv_wgrad(self, image, loss, **geometry):
        return self.node("CONV_WGRAD", {"X": image, "DY": loss}, "DW", **geometry)

    def bias(self, name, input, bias):
        return self.node("POINTWISE", {"IN_0": input, "IN_1": bias}, "OUT_0", mode="ADD")

    def relu(self, name, input):
        return self.node("POINTWISE", {"IN_0": input}, "OUT_0", mode="RELU_FWD")

    def __str__(self):
        nodes = [
            {
                **{k: v for k, v in node.items() if k not in ("in", "out")},
                "inputs": {k: t.tensor["uid"] for k, t in node["in"].items()},
                "outputs": {k: t.tensor["uid"] for k, t in node["out"].items()},
            }
            for node in self.nodes
        ]
        tensors = {str(t.tensor["uid"]): t.tensor for t in self.tensors}
        return json.dumps({"nodes": nodes, "tensors": tensors})

    def __getattr__(self, name):
        steps = ("validate", "build_operation_graph", "create_execution_plans")
        if name not in (*steps, "deselect_workspace_greater_than"):
            raise AttributeError(name)
        return lambda *arguments: self.done.append(name)

    def deselect_numeric_notes(self, notes):
        self.unwanted += notes

    deselect_behavior_notes = deselect_numeric_notes

    def check_support(self):
        assert self.done[:3] == ["validate", "build_operation_graph", "create_execution_plans"]
        if self.library.refuses(json.loads(str(self))):
            raise NotSupportedError("No valid engine configs\nand more")

    def build_plans(self, policy):
        self.library.built += 1

    def build_plan_at_index(self, index):
        if not 0 <= index < self.get_execution_plan_count():
            raise RuntimeError(f"Plan index {index} is invalid.")  # no NotSupportedError
        self.library.built += 1

    def get_execution_plan_count(self):
        return 3

    def get_workspace_size(self):
        return 512

    def execute(self, given, workspace, handle):
        assert workspace and handle == 7 and self.library.stream == self.library.device.stream
        description, tf32 = json.loads(str(self)), "TENSOR_CORE" not in self.unwanted
        self.library.calls.append(type(self).__mro__[1].__name__)
        self.library.device.do(lambda: interpret(description, given, tf32=tf32))


class FastGraph(Graph):
    """With the way in that takes an array of addresses."""

    def _prepare_variant_pack_template(self):
        self.done.append("prepared")

    def _get_variant_pack_uids_sorted(self):
        assert "prepared" in self.done
        held = [t.tensor for t in self.tensors if t.tensor.get("dim")]
        return sorted(tensor["uid"] for tensor in held)

    def _execute_with_raw_ptrs(self, start, count, workspace, handle):
        addresses = (ctypes.c_int64 * count).from_address(start)
        uids = self._get_variant_pack_uids_sorted()
        self.execute(dict(zip(uids, list(addresses), strict=True)), workspace, handle)


CUDNN_TYPES = {"FLOAT": "float32", "BFLOAT16": "bfloat16"}


def interpret(description, addresses, tf32=False):
    """Run a graph, given as the frontend's JSON, on host memory; by the definition of its ops."""

    def where(uid):
        tensor = description["tensors"][str(uid)]
        dtype = CUDNN_TYPES[tensor["data_type"]]
        return addresses[uid], dtype, tuple(tensor["dim"]), tuple(tensor["stride"])

    values = {}

    def value(uid):
        if uid not in values:
            values[uid] = load(*where(uid))
            if tf32 and where(uid)[1] == "float32":
                values[uid] = to_tf32(values[uid]).astype(np.float64)
        return values[uid]

    for node in description["nodes"]:
        given = {name: value(uid) for name, uid in node["inputs"].items()}
        (out,) = node["outputs"].values()
        if node["tag"] != "POINTWISE":
            last = description["nodes"][-1]["outputs"].values()
            shape = where(out)[2] if out in last else where(next(iter(last)))[2]
            values[out] = convolve(node, given, shape)
        elif node["mode"] == "ADD":
            values[out] = given["IN_0"] + given["IN_1"]
        else:
            values[out] = np.maximum(given["IN_0"], 0)
    store(values[out], *where(out))


def convolve(node, given, shape):
    """One of the three maps, element of the filter by element."""
    x, w, y = given.get("X"), given.get("W"), given.get("Y", given.get("DY"))
    out = np.zeros(shape)
    x_shape = shape if x is None else x.shape
    w_shape = shape if w is None else w.shape
    y_shape = shape if y is None else y.shape
    pads = list(zip(node["pre_padding"], node["post_padding"]))
    padded = np.zeros((*x_shape[:2], *[n + a + b for n, (a, b) in zip(x_shape[2:], pads)]))
    inside = (..., *[slice(a, a + n) for n, (a, _) in zip(x_shape[2:], pads)])
    if x is not None:
        padded[inside] = x
    groups = x_shape[1] // w_shape[1]
    n, f = y_shape[:2]
    split = {"x": (n, groups, w_shape[1]), "y": (n, groups, f // groups)}
    for at in itertools.product(*map(range, w_shape[2:])):
        spans = zip(at, node["dilation"], y_shape[2:], node["stride"])
        window = (..., *[slice(o * d, o * d + (m - 1) * s + 1, s) for o, d, m, s in spans])
        seen = padded[window].reshape(*split["x"], -1)
        if w is not None:
            tap = w[(..., *at)].reshape(groups, f // groups, w_shape[1])
        if y is None:
            out += np.einsum("gfc,ngcp->ngfp", tap, seen).reshape(shape)
        elif w is None:
            errors = y.reshape(*split["y"], -1)
            out[(..., *at)] = np.einsum("ngfp,ngcp->gfc", errors, seen).reshape(w_shape[:2])
        else:
            back = np.einsum("gfc,ngfp->ngcp", tap, y.reshape(*split["y"], -1))
            padded[window] += back.reshape(padded[window].shape)
    return padded[inside] if x is None else out
