"""Who is compared: the variants of each library, and how they are chosen on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata

LIBRARIES = "bench.compare.libraries"


@dataclass(frozen=True)
class Variant:
    """One way to use a library, measured in processes of its own.

    ``library`` is the module that prepares workloads, ``option`` what it is told. ``environment``
    holds in the process; ``settled`` too, except where the cold start is measured, for a library
    that would otherwise go on compiling beside its first steps. ``distribution`` is what is
    installed, with an extra in brackets, and ``first`` the statements after which a first number is
    in the library's hands.
    """

    name: str
    title: str
    family: str
    library: str
    option: str
    distribution: str
    first: tuple[str, str]
    environment: Mapping[str, str] = field(default_factory=dict)
    settled: Mapping[str, str] = field(default_factory=dict)


def _ours(
    name: str, title: str, option: str, extra: str, *environments: Mapping[str, str]
) -> Variant:
    first = ("import tensorgraph", "tensorgraph.tensor(0.0)")
    module, installed = f"{LIBRARIES}.ours", f"tensorgraph{extra}"
    return Variant(name, title, "tensorgraph", module, option, installed, first, *environments)


def _torch(name: str, title: str, option: str) -> Variant:
    first = ("import torch", "torch.tensor(0.0)")
    return Variant(name, title, "torch", f"{LIBRARIES}.pytorch", option, "torch", first)


PLUGINS = metadata.entry_points(group="tensorgraph")
NUMBA = [e.name for e in PLUGINS if e.value.startswith("tensorgraph_numba")]
WITHOUT_NUMBA = {"TENSORGRAPH_DISABLE_PLUGINS": ",".join(NUMBA)}
COMPILED = {"TENSORGRAPH_JIT": "wait"}  # not NumPy's kernels while Numba compiles beside
VARIANTS = (
    _ours("tensorgraph", "tensorgraph, Numba", "jit", "[jit]", {}, COMPILED),
    _ours("tensorgraph-numpy", "tensorgraph, NumPy", "numpy", "", WITHOUT_NUMBA),
    _ours("tensorgraph-eager", "tensorgraph, eager", "eager", "[jit]"),
    _torch("torch-eager", "PyTorch, eager", "eager"),
    _torch("torch-fused", "PyTorch, fused", "fused"),
    _torch("torch-channels-last", "PyTorch, channels last", "channels_last"),
    _torch("torch-compile", "PyTorch, compile", "compile"),
    Variant(
        "jax", "JAX, jit", "jax", f"{LIBRARIES}.jax_jit", "jit", "jax",
        ("import jax.numpy", "jax.numpy.zeros(()).block_until_ready()"),
    ),
    Variant(
        "autograd", "HIPS autograd", "autograd", f"{LIBRARIES}.hips_autograd", "", "autograd",
        ("import autograd.numpy", "autograd.numpy.zeros(())"),
    ),
    Variant(
        "mygrad", "MyGrad", "mygrad", f"{LIBRARIES}.mygrad_numpy", "", "mygrad",
        ("import mygrad", "mygrad.tensor(0.0)"),
    ),
)  # fmt: skip
RIVAL = "torch"  # the family whose strongest variant is what others are measured against


def choose(names: Sequence[str], variants: Sequence[Variant] = VARIANTS) -> list[Variant]:
    """The variants of these names, of a variant or of a family; all where there are none.

    TensorGraph's are always among them, unless one of them is named. Raises ``ValueError``.
    """
    known = {v.name for v in variants} | {v.family for v in variants}
    for name in names:
        if name not in known:
            choice = ", ".join(sorted(known))
            raise ValueError(f"--peers: {name!r} is no peer; choose among {choice}")
    chosen = [v for v in variants if not names or v.name in names or v.family in names]
    if any(v.family == "tensorgraph" for v in chosen):
        return chosen
    return [v for v in variants if v.family == "tensorgraph"] + chosen
