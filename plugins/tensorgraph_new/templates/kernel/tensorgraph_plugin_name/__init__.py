"""A kernel for TensorGraph: logsumexp on NumPy, with one array less."""

import tensorgraph as tg
from tensorgraph.hookspecs import RegisterKernel


def supports(x: tg.Shaped, *, axis: tuple[int, ...], keepdims: bool) -> bool:
    """What the kernel runs, by shapes, dtypes and parameters; others run the rest."""
    return x.size > 0 and x.ndim > 0 and x.dtype in ("float32", "float64")


@tg.hookimpl
def register_kernels(register: RegisterKernel) -> None:
    register(
        backend="numpy",
        op="logsumexp",
        name="plugin_name",
        kernel="tensorgraph_plugin_name.kernel:logsumexp",  # imported on use
        supports=supports,
    )
