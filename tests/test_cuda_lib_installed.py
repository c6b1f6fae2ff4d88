"""cuBLASLt where it is installed, without a GPU: its header against what is declared of it. No
kernel runs: this is no test of the GPU."""

import ctypes
import importlib.metadata
import re
from pathlib import Path

import pytest
from emulated_device import EmulatedDevice
from tensorgraph_cupy.lib import header, loading
from tensorgraph_cupy.lib.cublaslt import Cublaslt, Matrix, Plan, Product

from tensorgraph.errors import BackendError


def headers():
    """The text of the headers in the wheel nvidia-cublas."""
    try:
        files = importlib.metadata.files("nvidia-cublas") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package nvidia-cublas is not installed: its header is not read")
    names = {"cublasLt.h", "cublas_api.h", "library_types.h"}
    found = [Path(str(f.locate())) for f in files if f.name in names]
    text = "".join(f.read_text("utf-8") for f in found)
    runtime = [f.parent / "library_types.h" for f in found]  # the wheel nvidia-cuda-runtime's
    return text + next((f.read_text("utf-8") for f in runtime if f.exists()), "")


ENUMERATIONS = [
    e for e in vars(header).values() if isinstance(e, type) and issubclass(e, header.IntEnum)
]


def value_of(name, text):
    found = re.search(rf"^\s*{name}\s*=\s*([^,}}/]+?)\s*(,|}}|/|$)", text, re.M)
    assert found, f"{name} is not in the header"
    words = re.split(r"([^\w]+)", found[1])
    known = [str(value_of(w, text)) if w.startswith("CUBLAS") else w for w in words]
    return eval("".join(known))


@pytest.mark.parametrize("enumeration", ENUMERATIONS[1:], ids=lambda e: e.__name__)
def test_values_are_the_headers(enumeration):
    text = headers()
    if enumeration is header.Data and "CUDA_R_16BF" not in text:
        pytest.skip("the package nvidia-cuda-runtime, with library_types.h, is not installed")
    assert {m.name: m.value for m in enumeration} == {
        m.name: value_of(m.name, text) for m in enumeration
    }


SIZES = {"uint32_t": 4, "int32_t": 4, "uint64_t": 8, "int64_t": 8, "void *": 8}


@pytest.mark.parametrize("attribute", header.VALUES)
def test_attributes_have_the_size_that_the_header_gives(attribute):
    """The comment before each attribute begins with its type."""
    text = headers()
    before = text[: re.search(rf"^\s*{attribute} = ", text, re.M).start()]
    comment = before[before.rindex("/**") :]
    (kind, *_) = (k for k in SIZES if re.search(rf"\* (.*: )?(const )?{re.escape(k)}", comment))
    held = header.VALUES[attribute]
    assert ctypes.sizeof(held) == SIZES[kind]
    assert kind.endswith("*") or kind.startswith("u") == (held(-1).value > 0)


def test_structures_are_the_headers():
    text = headers()
    algorithm = re.search(r"uint64_t data\[(\d+)\];\s*} cublasLtMatmulAlgo_t;", text)
    assert ctypes.sizeof(header.Algorithm) == 8 * int(algorithm[1])
    before = text[: text.index("} cublasLtMatmulHeuristicResult_t;")]
    body = re.sub(r"/\*.*?\*/", "", before[before.rindex("typedef struct") :], flags=re.S)
    fields = re.findall(r"(\w+) (\w+)(\[\d+\])?;", body)
    assert [name for _, name, _ in fields] == [name for name, _ in header.Heuristic._fields_]
    kinds = {
        "cublasLtMatmulAlgo_t": header.Algorithm,
        "size_t": ctypes.c_size_t,
        "cublasStatus_t": ctypes.c_int,
        "float": ctypes.c_float,
        "int": ctypes.c_int,
    }
    for (kind, name, many), (_, held) in zip(fields, header.Heuristic._fields_, strict=True):
        wanted = kinds[kind] * int(many[1:-1]) if many else kinds[kind]
        assert ctypes.sizeof(held) == ctypes.sizeof(wanted), name


@pytest.mark.parametrize("name", header.SIGNATURES)
def test_signatures_are_the_headers(name):
    found = re.search(rf"\b(\w+) CUBLASWINAPI {name}\(([^)]*)\)", headers())
    assert (found[1] == "size_t") == (name == "cublasLtGetVersion")
    text = re.sub(r"//.*|/\*.*?\*/", "", found[2])
    arguments = [a.strip() for a in text.split(",") if a.strip() not in ("", "void")]
    wide = {"uint64_t": ctypes.c_uint64, "int64_t": ctypes.c_int64, "size_t": ctypes.c_size_t}
    pointers = ("Handle_t", "Desc_t", "Layout_t", "Preference_t", "Stream_t")

    def kind(argument):
        type_ = argument.removeprefix("const ").rsplit(" ", 1)[0]
        if "*" in argument or "[]" in argument or type_.endswith(pointers):
            return ctypes.c_void_p
        return wide.get(type_, ctypes.c_int)

    assert [kind(a) for a in arguments] == list(header.SIGNATURES[name])


def test_calls_reach_the_library():
    """Without a handle it refuses each, with a status that says so: what is passed has arrived."""
    try:
        library = Cublaslt(loading.cublaslt(), EmulatedDevice())
    except loading.MissingError as error:
        pytest.skip(f"cuBLASLt is not called: {error}")
    library._handle = ctypes.c_void_p(None)
    matrix = Matrix(4)
    product = Product(4, 4, 4, matrix, matrix, matrix)
    refused = r"failed with CUBLAS_STATUS_NOT_INITIALIZED \(1\)"
    with pytest.raises(BackendError, match=f"cublasLtMatmulAlgoGetHeuristic {refused}"):
        library.plan(product)
    plan = Plan(product, *library.describe(product), [header.Heuristic()])
    with pytest.raises(BackendError, match=f"cublasLtMatmul {refused}"):
        library.run(plan, 256, 512, 768)
