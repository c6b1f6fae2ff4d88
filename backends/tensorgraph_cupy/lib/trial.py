"""Whether a product runs at all: a heuristic may promise what the call then refuses, of those
epilogues that few use. So it is known before a step is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorgraph.errors import BackendError

if TYPE_CHECKING:
    from tensorgraph_cupy.lib.cublaslt import Cublaslt, Matrix, Plan

RARE = {"relu_mask", "bias_relu_mask", "masked", "masked_sums", "x_sums", "y_sums"}
BYTES = {"bfloat16": 2, "float32": 4, "float64": 8}


def accepted(library: Cublaslt, plan: Plan, mask_bytes: int) -> list[Any]:
    """The algorithms of a plan that the library runs: on memory of their own, without values."""
    product, device = plan.product, library.device
    if product.epilogue not in RARE:
        return list(plan.found)
    rows, columns, inner = product.rows, product.columns, product.inner
    each, wide = BYTES[product.dtype], BYTES[product.out_dtype]
    operands = (
        (product.x, rows, inner, each),
        (product.y, inner, columns, each),
        (product.out, rows, columns, wide),
    )
    held = [device.allocate(_size(*operand, product.batch)) for operand in operands]
    name, vector, mask = product.epilogue, None, None
    if "sums" in name or "bias" in name:
        vector = device.allocate(wide * max(rows, columns))
    if "mask" in name:
        mask = device.allocate(mask_bytes)
    more = {key: m.address for key, m in (("vector", vector), ("mask", mask)) if m is not None}
    found = []
    for number, algorithm in enumerate(plan.found):
        try:
            library.run(plan, *[memory.address for memory in held], **more, choice=number)
        except BackendError:
            continue
        found.append(algorithm)
    return found


def _size(matrix: Matrix, rows: int, columns: int, each: int, batch: int) -> int:
    lines = columns if matrix.turned else rows
    return each * ((batch - 1) * matrix.apart + lines * matrix.leading)
