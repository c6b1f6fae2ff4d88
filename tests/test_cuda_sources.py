"""Every CUDA source compiled by NVRTC for two architectures: no GPU and no driver is needed."""

import pytest
from tensorgraph_cupy.cuda import FOLDER, source
from tensorgraph_cupy.device import OPTIONS

STORAGES = [{"STORAGE": "float"}, {"STORAGE": "bfloat16"}]
OTHERS = [{"STORAGE": "uint8"}, {"STORAGE": "int64"}]
WIDE = [{"STORAGE": "float", "COUNT": "int64"}]
SQUARE = {
    f"{name}{axis}": n for name, n in (("K", 3), ("STRIDE", 2), ("PADDING", 1)) for axis in (1, 2)
}
SQUARE |= {"K0": 1, "STRIDE0": 1, "PADDING0": 0, "DILATION0": 1, "DILATION1": 1, "DILATION2": 1}
WINDOWS = [{**SQUARE, "WIDTH": 1}, {**SQUARE, "WIDTH": 4}]
VARIANTS = {  # file → the macros that launch functions make it with
    "index.cu": [
        {**storage, "WIDTH": width} for storage in [*STORAGES, *WIDE, *OTHERS] for width in (1, 4)
    ],
    "loss.cu": [{**storage, "LANES": n} for storage in [*STORAGES, *WIDE] for n in (1, 16, 32)]
    + [{"STORAGE": "float", "GRADIENT": "bfloat16", "LANES": 16}],
    "pool.cu": [
        *[{**windows, **storage} for windows in WINDOWS for storage in [*STORAGES, *WIDE]],
        {**WINDOWS[1], "STORAGE": "bfloat16", "WIDTH": 8},
    ],
    "resample.cu": [{**storage, "WIDTH": n} for storage in [*STORAGES, *WIDE] for n in (1, 4)],
    "random.cu": [*STORAGES, *WIDE],
    "windows.cu": [
        *[{**SQUARE, **storage, "WIDTH": 1} for storage in [*STORAGES, *WIDE]],
        {**SQUARE, "STORAGE": "float", "WIDTH": 4},
        {**SQUARE, "STORAGE": "bfloat16", "WIDTH": 8},
    ],
}


def nvrtc():
    """NVRTC; skips where it is not installed."""
    try:
        from cupy_backends.cuda.libs import nvrtc

        nvrtc.getVersion()
    except (ImportError, RuntimeError) as error:
        reason = (str(error).splitlines() or ["?"])[0]
        pytest.skip(f"no NVRTC ({reason}): CUDA sources are not compiled")
    return nvrtc


def compiled(text, name, architecture):
    """The program that NVRTC makes of a source, with the options that CuPy adds."""
    compiler = nvrtc()
    program = compiler.createProgram(text, name, (), ())
    added = ("--device-as-default-execution-space", "-ftz=true", "--ptxas-options=-v")
    try:
        compiler.compileProgram(program, (*OPTIONS, f"-arch={architecture}", *added))
    except compiler.NVRTCError:
        pytest.fail(compiler.getProgramLog(program))
    return program


def check(text, name, architecture):
    """Each kernel keeps its variables in registers: none is spilled to memory."""
    program = compiled(text, name, architecture)
    assert len(nvrtc().getCUBIN(program)) > 1000
    log = nvrtc().getProgramLog(program)
    functions = log.count("Compiling entry function")
    assert functions == text.count("\nKERNEL ") > 0
    assert log.count("0 bytes spill stores, 0 bytes spill loads") >= functions, log
    assert "warning" not in log, log


def test_every_source_is_named():
    assert sorted(VARIANTS) == sorted(path.name for path in FOLDER.glob("*.cu"))


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize(
    ("file", "macros"), [(f, m) for f, found in VARIANTS.items() for m in found], ids=str
)
def test_sources_compile_without_spills(file, macros, architecture):
    check(source(file, **macros), file, architecture)
