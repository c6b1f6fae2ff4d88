"""Matrix products by cuBLASLt: row-major operands by their addresses, capturable in a CUDA graph.

cuBLASLt counts in columns. A row-major matrix is, read by columns, its transpose, and the transpose
of a product is the product of the transposes the other way round: ``out = x @ y`` by rows is
``outᵀ = yᵀ @ xᵀ`` by columns. So its A is our ``y``, its B our ``x``, its m our columns, its n our
rows, and nothing is copied. Its vectors of length m (a bias, say) then lie along our last axis.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from typing import Any, NamedTuple

from tensorgraph.errors import BackendError
from tensorgraph_cupy.lib import UnsupportedError, loading
from tensorgraph_cupy.lib.choices import Choices
from tensorgraph_cupy.lib.header import (
    VALUES,
    Compute,
    Data,
    Description,
    Epilogue,
    Heuristic,
    Layout,
    Operation,
    Preference,
    Status,
)
from tensorgraph_cupy.lib.trial import accepted
from tensorgraph_cupy.lib.workspace import Workspace

WORKSPACE = 32 << 20  # bytes that an algorithm may ask for: what NVIDIA recommends on Hopper
CANDIDATES = 8  # algorithms that the heuristic names, the one it thinks fastest first
MASK_BITS = 128  # a row of a ReLU mask takes a multiple of so many bits
PLANS = 4096  # kept at most: each is a few hundred bytes on the host
TYPES = {"float32": Data.CUDA_R_32F, "float64": Data.CUDA_R_64F, "bfloat16": Data.CUDA_R_16BF}
COMPUTE = {
    "strict": Compute.CUBLAS_COMPUTE_32F_PEDANTIC,
    "float32": Compute.CUBLAS_COMPUTE_32F,
    "tf32": Compute.CUBLAS_COMPUTE_32F_FAST_TF32,
    "float64": Compute.CUBLAS_COMPUTE_64F,
}
EPILOGUES = {  # what is done to the product; a vector goes along its last axis
    "none": Epilogue.CUBLASLT_EPILOGUE_DEFAULT,
    "bias": Epilogue.CUBLASLT_EPILOGUE_BIAS,  # + vector
    "relu": Epilogue.CUBLASLT_EPILOGUE_RELU,
    "bias_relu": Epilogue.CUBLASLT_EPILOGUE_RELU_BIAS,
    "relu_mask": Epilogue.CUBLASLT_EPILOGUE_RELU_AUX,  # and the mask is written: what was positive
    "bias_relu_mask": Epilogue.CUBLASLT_EPILOGUE_RELU_AUX_BIAS,
    "masked": Epilogue.CUBLASLT_EPILOGUE_DRELU,  # the mask is read: zero where it is not set
    "masked_sums": Epilogue.CUBLASLT_EPILOGUE_DRELU_BGRAD,  # and vector = the sum over out's rows
    "x_sums": Epilogue.CUBLASLT_EPILOGUE_BGRADB,  # vector[rows] = the sum over x's columns
    "y_sums": Epilogue.CUBLASLT_EPILOGUE_BGRADA,  # vector[columns] = the sum over y's rows
}
WITH_VECTOR = {"bias", "bias_relu", "bias_relu_mask", "masked_sums", "x_sums", "y_sums"}
WITH_MASK = {"relu_mask", "bias_relu_mask", "masked", "masked_sums"}


class Matrix(NamedTuple):
    """How a matrix lies in memory: row after row, or column after column where it is ``turned``."""

    leading: int  # elements from one row (turned: column) to the next
    turned: bool = False
    apart: int = 0  # elements from one matrix of a batch to the next; 0: all of them are the same


class Product(NamedTuple):
    """``out[i] = x[i] @ y[i]`` and its epilogue: all that the choice of an algorithm depends on."""

    rows: int
    columns: int
    inner: int
    x: Matrix
    y: Matrix
    out: Matrix
    batch: int = 1
    dtype: str = "float32"  # of x and y
    out_dtype: str = "float32"  # of out and the vector; sums are float32, of float64 float64
    arithmetic: str = "float32"  # a key of COMPUTE
    epilogue: str = "none"
    alignment: int = 16  # of all addresses, in bytes


class Plan:
    """A product with its descriptors and the algorithms for it, of which ``chosen`` runs."""

    def __init__(self, product: Product, description: Any, layouts: list[Any], found: Any) -> None:
        self.product = product
        self.description = description
        self.layouts = layouts
        self.found = found
        self.chosen = 0


def mask_bytes(rows: int, columns: int) -> int:
    """The size of a ReLU mask: a bit for each element, whole groups of them in each row."""
    return rows * _mask_leading(columns) // 8


def open(device: Any) -> Cublaslt:
    """The library for a stream of this machine's GPU; ``MissingError`` where it is not here."""
    return Cublaslt(loading.cublaslt(), device)


class Cublaslt:
    """The library on one stream, with the plans of the products that were asked for."""

    def __init__(self, library: Any, device: Any) -> None:
        self.library = library
        self.device = device
        self.workspace = Workspace(device)
        self.version = int(library.cublasLtGetVersion())
        self.choices = Choices(device, "cuBLASLt", self.version)
        self.plans: dict[Product, Plan] = {}
        self._handle: ctypes.c_void_p | None = None
        self._lock = threading.RLock()  # a plan's description holds the addresses of one call

    @property
    def handle(self) -> ctypes.c_void_p:
        """Made when it is first asked for, since it needs a GPU; never destroyed."""
        if self._handle is None:
            self._handle = self._made("cublasLtCreate")
        return self._handle

    def plan(self, product: Product) -> Plan:
        """The plan of a product, from the heuristic where there is none yet.

        Raises ``UnsupportedError`` where cuBLASLt has no algorithm for it.
        """
        with self._lock:
            plan = self.plans.get(product)
            if plan is None:
                plan = self._plan(product)
                plan.chosen = min(self.choices.get(product) or 0, len(plan.found) - 1)
                self.workspace.expect(plan.found[plan.chosen].workspaceSize)
                if len(self.plans) >= PLANS:
                    self.plans.clear()
                self.plans[product] = plan
            return plan

    def run(
        self,
        plan: Plan,
        x: int,
        y: int,
        out: int,
        *,
        vector: int = 0,
        mask: int = 0,
        choice: int | None = None,
    ) -> None:
        """Compute it from and to these addresses, by the algorithm that is chosen, or that of
        another number.

        Nothing here waits for the device or reads from it, so that a stream that is being captured
        takes the call into its graph.
        """
        with self._lock:
            description = plan.description
            algorithm = plan.found[plan.chosen if choice is None else choice]
            if vector:
                self._set(description, Description.CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector)
            if mask:
                self._set(description, Description.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, mask)
            number = ctypes.c_double if plan.product.arithmetic == "float64" else ctypes.c_float
            alpha, beta = number(1), number(0)
            of_x, of_y, of_out = plan.layouts
            self._call(
                "cublasLtMatmul",
                self.handle,
                description,
                ctypes.byref(alpha),
                *(y, of_y, x, of_x),  # turned round: see above
                ctypes.byref(beta),
                *(out, of_out, out, of_out),
                ctypes.byref(algorithm.algo),
                self.workspace.address(algorithm.workspaceSize),
                algorithm.workspaceSize,
                self.device.stream,
            )

    def _plan(self, product: Product) -> Plan:
        description, layouts = self.describe(product)
        preference = self._made("cublasLtMatmulPreferenceCreate")
        self._set(preference, Preference.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, WORKSPACE)
        for operand in "ABCD":
            attribute = Preference[f"CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_{operand}_BYTES"]
            self._set(preference, attribute, product.alignment)
        of_x, of_y, of_out = layouts
        results, count = (Heuristic * CANDIDATES)(), ctypes.c_int(0)
        found = self.library.cublasLtMatmulAlgoGetHeuristic(
            self.handle,
            description,
            *(of_y, of_x, of_out, of_out),
            preference,
            CANDIDATES,
            ctypes.byref(results),
            ctypes.byref(count),
        )
        self._call("cublasLtMatmulPreferenceDestroy", preference)
        works = [r for r in results[: count.value] if r.state == Status.CUBLAS_STATUS_SUCCESS]
        plan = Plan(product, description, layouts, works)
        weakref.finalize(plan, self._destroy, description, layouts).atexit = False
        if found != Status.CUBLAS_STATUS_SUCCESS and not _is_refusal(product, found):
            raise _failed("cublasLtMatmulAlgoGetHeuristic", found)
        plan.found = accepted(self, plan, mask_bytes(product.rows, product.columns))
        if not plan.found:
            raise UnsupportedError(f"cuBLASLt {self.version} has no algorithm for {product}")
        return plan

    def describe(self, product: Product) -> tuple[Any, list[Any]]:
        """The descriptors of a product, and of x, y and out; no GPU is needed for them."""
        wide = product.arithmetic == "float64"
        scale = Data.CUDA_R_64F if wide else Data.CUDA_R_32F
        compute = COMPUTE[product.arithmetic]
        description = self._made("cublasLtMatmulDescCreate", compute, scale)
        turned = (Operation.CUBLAS_OP_N, Operation.CUBLAS_OP_T)
        settings: dict[Description, int] = {
            Description.CUBLASLT_MATMUL_DESC_TRANSA: turned[product.y.turned],
            Description.CUBLASLT_MATMUL_DESC_TRANSB: turned[product.x.turned],
            Description.CUBLASLT_MATMUL_DESC_EPILOGUE: EPILOGUES[product.epilogue],
        }
        not_yet = product.alignment  # the heuristic reads from an address how aligned it is
        if product.epilogue in WITH_VECTOR:
            settings[Description.CUBLASLT_MATMUL_DESC_BIAS_POINTER] = not_yet
        if product.epilogue in WITH_MASK:
            leading = _mask_leading(product.columns)
            settings[Description.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD] = leading
            settings[Description.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER] = not_yet
        for attribute, value in settings.items():
            self._set(description, attribute, value)
        rows, columns, inner = product.rows, product.columns, product.inner
        return description, [
            self._layout(product.x, rows, inner, product.dtype, product.batch),
            self._layout(product.y, inner, columns, product.dtype, product.batch),
            self._layout(product.out, rows, columns, product.out_dtype, product.batch),
        ]

    def _layout(self, matrix: Matrix, rows: int, columns: int, dtype: str, batch: int) -> Any:
        sizes = (rows, columns) if matrix.turned else (columns, rows)  # as it lies, by columns
        layout = self._made("cublasLtMatrixLayoutCreate", TYPES[dtype], *sizes, matrix.leading)
        if batch > 1:
            self._set(layout, Layout.CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, batch)
            apart = Layout.CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET
            self._set(layout, apart, matrix.apart)
        return layout

    def _made(self, function: str, *arguments: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self._call(function, ctypes.byref(made), *arguments)
        return made

    def _set(self, of: ctypes.c_void_p, attribute: Any, value: int) -> None:
        kind = {Layout: "MatrixLayout", Preference: "MatmulPreference", Description: "MatmulDesc"}
        held = VALUES[attribute.name](value)
        function = f"cublasLt{kind[type(attribute)]}SetAttribute"
        self._call(function, of, attribute, ctypes.byref(held), ctypes.sizeof(held))

    def _call(self, function: str, *arguments: Any) -> None:
        status = getattr(self.library, function)(*arguments)
        if status != Status.CUBLAS_STATUS_SUCCESS:
            raise _failed(function, status)

    def _destroy(self, description: Any, layouts: list[Any]) -> None:
        self.library.cublasLtMatmulDescDestroy(description)
        for layout in layouts:
            self.library.cublasLtMatrixLayoutDestroy(layout)


def _is_refusal(product: Product, status: int) -> bool:
    """Whether it says that the library does not have this: of a combination with an epilogue some
    versions say that a value is invalid."""
    refusals = {Status.CUBLAS_STATUS_NOT_SUPPORTED}
    if product.epilogue != "none":
        refusals |= {Status.CUBLAS_STATUS_INVALID_VALUE, Status.CUBLAS_STATUS_ARCH_MISMATCH}
    return status in refusals


def _mask_leading(columns: int) -> int:
    return -(-columns // MASK_BITS) * MASK_BITS


def _failed(function: str, status: int) -> BackendError:
    known = Status(status).name if status in set(Status) else "an unknown status"
    return BackendError(
        f"cuBLASLt: {function} failed with {known} ({status}); CUBLASLT_LOG_LEVEL=2 in the "
        "environment makes the library say more"
    )
