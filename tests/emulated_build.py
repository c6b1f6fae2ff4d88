"""CUDA sources as libraries for this machine's processor, kept on the disk by their text.

Each is compiled with cuda_on_cpu.h and linked with cuda_on_cpu.cpp, which runs it.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
HEADER, MACHINE, STRICT = "cuda_on_cpu.h", "cuda_on_cpu.cpp", "cuda_strict.h"
FLAGS = ["-std=c++17", "-fPIC", "-Wall", "-Werror", "-fno-threadsafe-statics"]
KERNEL_FLAGS = ["-Og", "-fno-strict-aliasing"]
KERNEL_FLAGS += ["-Wno-unused", "-Wno-unknown-pragmas", "-Wno-bool-compare"]
# These call the functions of cuda_strict.h; g++'s own libraries for them are not linked.
KERNEL_FLAGS += ["-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0"]
KERNEL_FLAGS += ["-fsanitize=alignment,signed-integer-overflow,shift,integer-divide-by-zero,bounds"]


def _contracts():
    """NVRTC makes one operation of a product and a sum, as this processor may too."""
    about = Path("/proc/cpuinfo")
    able = about.exists() and " fma " in about.read_text()
    return ["-ffp-contract=fast", "-mfma"] if able else []


KERNEL_FLAGS += _contracts()


def available():
    return sys.platform == "linux" and shutil.which("g++") is not None


@functools.cache
def library(source):
    """A CUDA source as a library for this machine's processor, kept on the disk by its text."""
    # What g++ cannot read: dynamic shared memory is an array without a size, declared extern.
    text = re.sub(
        r"extern __shared__ ([\w ]+?) (\w+)\[\];",
        r"\1* \2 = reinterpret_cast<\1*>(dynamic_shared);",
        source,
    )
    names = re.findall(r"^(?:KERNEL|extern \"C\" __global__ void)\s+(\w+)\(", source, re.M)
    starts = [
        f'extern "C" __attribute__((visibility("default"))) const char* launch_{name}('
        "const unsigned* grid, const unsigned* block, int shared, int reversed, const char* kinds, "
        "void** arguments, const uint64_t* ranges, int count, int ends) {\n"
        f"    return emulation::start({name}, kinds, arguments, "
        "{grid, block, shared, reversed, ranges, count, ends});\n}"
        for name in names
    ]
    folder = _machine()
    text = "\n".join([text, *starts])
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"
    if not path.exists():
        main = path.with_suffix(f".{os.getpid()}.cpp")
        main.write_text(text)
        try:
            made = main.with_suffix(".o")
            _compile(*FLAGS, *KERNEL_FLAGS, "-c", "-include", folder / HEADER, main, to=made)
            _compile("-shared", "-Wl,-z,defs", made, folder / "machine.o", to=path)
        except RuntimeError as error:
            raise RuntimeError(f"{names}, in {main}: {error}") from None
        main.unlink()
        made.unlink()
    loaded = ctypes.CDLL(str(path))
    for name in names:
        getattr(loaded, f"launch_{name}").restype = ctypes.c_char_p
    return loaded


@functools.cache
def _machine():
    """The folder of what runs kernels, compiled, and of what is compiled with it as it is now."""
    texts = {name: (HERE / name).read_text() for name in (HEADER, MACHINE, STRICT)}
    key = hashlib.sha256(f"{texts} {FLAGS} {KERNEL_FLAGS}".encode()).hexdigest()[:24]
    own = Path(tempfile.gettempdir(), f"tensorgraph-cuda-on-cpu-{os.getuid()}")
    own.mkdir(mode=0o700, exist_ok=True)
    assert own.stat().st_uid == os.getuid(), f"{own}, whose libraries are run, is somebody else's"
    folder = own / key
    folder.mkdir(exist_ok=True)
    if not (folder / f"{HEADER}.gch").exists():
        for name, text in texts.items():
            (folder / name).write_text(text)
        _compile(*FLAGS, "-O2", "-c", folder / MACHINE, to=folder / "machine.o")
        kernels = [*FLAGS, *KERNEL_FLAGS, "-x", "c++-header"]
        _compile(*kernels, folder / HEADER, to=folder / f"{HEADER}.gch")
    return folder


def _compile(*arguments, to):
    """Written under another name first: several processes may be at it."""
    written = to.with_name(f"{to.name}.{os.getpid()}")
    command = ["g++", *map(str, arguments), "-o", str(written)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"g++ says:\n{done.stderr}")
    written.replace(to)
