"""NumPy in the place of cuBLASLt: for tests without a GPU.

It does not know what the caller means: it reads what was put into the descriptors, as the library
would, and does that to the bytes at the addresses it is given. So a wrong leading dimension,
stride, transposition, attribute or address gives wrong numbers here too. What it does not show:
whether the real library has an algorithm, how it rounds, and how fast it is.
"""

# ruff: noqa: N802, N815  the names are those of the library
import ctypes
import math
import types

import numpy as np
from cuda_memory import load, memory, store, to_tf32

TYPES = {0: "float32", 1: "float64", 14: "bfloat16"}
TF32 = 77
DESCRIPTION = {"compute": 0, "scale": 1, "of_a": 3, "of_b": 4, "epilogue": 7, "bias": 8}
DESCRIPTION |= {"mask": 11, "mask_leading": 12}
LAYOUT = {"type": 0, "rows": 2, "columns": 3, "leading": 4, "count": 5, "apart": 6}
RELU, BIAS, BACKWARD, SUMS, MASK, SUMS_A, SUMS_B = 2, 4, 8, 16, 128, 256, 512
NOT_SUPPORTED = 15
ALIGNMENT = 5  # of A, among the preferences


class CublasltDouble:
    """The functions of the library that are used, over host memory."""

    def __init__(self, device, epilogues=(), broken=(), status=NOT_SUPPORTED):
        self.device = device
        self.refused = epilogues  # the library's numbers, for which there is no algorithm
        self.status = status  # with which it says so
        self.broken = broken  # for which there seems to be one, but calls are refused
        self.objects = {}
        self.heuristics = 0
        self.destroyed = 0

    def cublasLtGetVersion(self):
        return 130100

    def cublasLtCreate(self, out):
        out._obj.value = 1
        return 0

    def cublasLtMatmulDescCreate(self, out, compute, scale):
        defaults = {DESCRIPTION["of_a"]: 0, DESCRIPTION["of_b"]: 0, DESCRIPTION["epilogue"]: 1}
        return self.new(out, {0: int(compute), 1: int(scale), **defaults})

    def cublasLtMatrixLayoutCreate(self, out, kind, rows, columns, leading):
        assert leading >= rows, "columns overlap"
        return self.new(out, {0: int(kind), 2: rows, 3: columns, 4: leading, 5: 1, 6: 0})

    def cublasLtMatmulPreferenceCreate(self, out):
        return self.new(out, {})

    def new(self, out, attributes):
        out._obj.value = 1000 + len(self.objects) + self.destroyed
        self.objects[out._obj.value] = attributes
        return 0

    def set(self, handle, attribute, held, size):
        assert ctypes.sizeof(held._obj) == size
        self.objects[handle.value][int(attribute)] = held._obj.value
        return 0

    cublasLtMatmulDescSetAttribute = set
    cublasLtMatrixLayoutSetAttribute = set
    cublasLtMatmulPreferenceSetAttribute = set

    def destroy(self, handle):
        del self.objects[handle.value]
        self.destroyed += 1
        return 0

    cublasLtMatmulDescDestroy = destroy
    cublasLtMatrixLayoutDestroy = destroy
    cublasLtMatmulPreferenceDestroy = destroy

    def description(self, handle):
        found = self.objects[handle.value]
        return types.SimpleNamespace(**{k: found.get(v) for k, v in DESCRIPTION.items()})

    def layout(self, handle):
        found = self.objects[handle.value]
        return types.SimpleNamespace(**{k: found.get(v) for k, v in LAYOUT.items()})

    def cublasLtMatmulAlgoGetHeuristic(
        self, handle, description, a, b, c, d, preference, wanted, results, count
    ):
        self.heuristics += 1
        what = self.description(description)
        aligned = self.objects.get(preference.value, {}).get(ALIGNMENT, 1)
        if what.epilogue & (BIAS | SUMS | SUMS_A | SUMS_B):  # the address says how it is aligned
            assert (what.bias and math.gcd(what.bias, 256) == aligned) or aligned == 1
        if what.epilogue in self.refused:
            return self.status
        count._obj.value = 2
        for i in range(2):
            results._obj[i].algo.data[0] = i + 1
            results._obj[i].workspaceSize = 256 * i
        return 0

    def cublasLtMatmul(
        self,
        handle,
        description,
        alpha,
        a,
        of_a,
        b,
        of_b,
        beta,
        c,
        of_c,
        d,
        of_d,
        algorithm,
        workspace,
        size,
        stream,
    ):
        assert algorithm._obj.data[0] and stream == self.device.stream
        assert bool(workspace) == bool(size)
        what, alpha, beta = self.description(description), alpha._obj.value, beta._obj.value
        if what.epilogue in self.broken:
            return NOT_SUPPORTED
        layouts = [self.layout(handle) for handle in (of_a, of_b, of_c, of_d)]
        # all of the arguments are read now, as a graph that is captured keeps them
        self.device.do(lambda: multiply(what, alpha, beta, (a, b, c, d), layouts))
        return 0


def batch(address, layout):
    """(address, dtype, shape, strides) of matrices that lie column after column."""
    shape, strides = (layout.count, layout.rows, layout.columns), (layout.apart, 1, layout.leading)
    return address, TYPES[layout.type], shape, strides


def multiply(what, alpha, beta, addresses, layouts):
    a, b = (load(*batch(p, of)) for p, of in zip(addresses[:2], layouts))
    if what.compute == TF32:
        a, b = to_tf32(a), to_tf32(b)
    a, b = a.swapaxes(1, 2) if what.of_a else a, b.swapaxes(1, 2) if what.of_b else b
    d = alpha * (a.astype(np.float64) @ b)
    if beta:
        d += beta * load(*batch(addresses[2], layouts[2]))
    count, rows, columns = d.shape
    assert (count, rows, columns) == (layouts[3].count, layouts[3].rows, layouts[3].columns)
    dtype = TYPES[layouts[3].type]
    if what.epilogue & MASK:
        assert count == 1 and what.mask_leading % 128 == 0 and what.mask_leading >= rows
        spread = (columns, what.mask_leading // 8)
        bits = memory(what.mask, "uint8", spread, (spread[1], 1))
    if what.epilogue & BIAS:
        d += load(what.bias, dtype, (rows, 1), (1, 1))
    if what.epilogue & RELU:
        if what.epilogue & MASK:
            padded = np.zeros((columns, what.mask_leading), bool)
            padded[:, :rows] = d[0].T > 0
            bits[...] = np.packbits(padded, axis=1, bitorder="little")
        d = np.maximum(d, 0)
    if what.epilogue & BACKWARD:
        d[0] *= np.unpackbits(bits, axis=1, bitorder="little")[:, :rows].T
    sums = {SUMS: d[0].sum(1), SUMS_A: a[0].sum(1), SUMS_B: b[0].sum(0)}
    for bit, values in sums.items():
        if what.epilogue & bit:
            assert count == 1
            store(values, what.bias, dtype, values.shape, (1,))
    store(d, *batch(addresses[3], layouts[3]))


class RealDescriptors(CublasltDouble):
    """The same, but for descriptors, which are the real library's: what was set is read back."""

    def __init__(self, device, library):
        super().__init__(device)
        self.library = library
        for kind in ("MatmulDesc", "MatrixLayout", "MatmulPreference"):
            for what in ("Create", "SetAttribute", "Destroy"):
                name = f"cublasLt{kind}{what}"
                setattr(self, name, getattr(library, name))

    def description(self, handle):
        wide = {"bias", "mask", "mask_leading"}
        return self.read("MatmulDesc", handle, DESCRIPTION, wide)

    def layout(self, handle):
        wide = {"rows", "columns", "leading", "apart"}
        return self.read("MatrixLayout", handle, LAYOUT, wide)

    def read(self, kind, handle, names, wide):
        function, found = getattr(self.library, f"cublasLt{kind}GetAttribute"), {}
        for name, attribute in names.items():
            held, written = (
                (ctypes.c_int64 if name in wide else ctypes.c_int32)(),
                ctypes.c_size_t(),
            )
            size = ctypes.c_size_t(ctypes.sizeof(held))
            status = function(handle, attribute, ctypes.byref(held), size, ctypes.byref(written))
            assert (status, written.value) == (0, size.value), (name, status)
            found[name] = held.value
        return types.SimpleNamespace(**found)
