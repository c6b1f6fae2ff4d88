"""Native code from the disk, linked without Numba and without LLVM."""

import ctypes
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")
from tensorgraph_numba import elf, native, objects
from tensorgraph_numba.kernels.program import walk
from tensorgraph_numba.kernels.rows import softmax

linked_here = pytest.mark.skipif(not elf.serves(), reason="LLVM links on this system")
REPLAY = """
import sys, numpy as np, tensorgraph as tg
model = tg.models.lenet5(classes=10)
x, y = tg.tensor(np.zeros((8, 1, 28, 28), "float32")), tg.tensor(np.arange(8))
model(x)
optimizer = tg.optimizers.adam(model.parameters())
@tg.compile
def step(x, y):
    optimizer.zero_grad()
    loss = tg.ops.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss
first, last = [step(x, y).item() for _ in range(5)][:: 4]
assert last < first
print(type(step.plan.runner).__module__)
print(*[name for name in ("numba", "llvmlite.binding") if name in sys.modules])
"""


@pytest.fixture
def found():
    native.address(walk, "float32")
    return objects.find(objects.file(walk, "float32"))


@linked_here
@pytest.mark.slow
def test_a_plan_whose_kernels_are_there_needs_no_numba(monkeypatch):
    """Half a second, and 110 MiB."""
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    run = [sys.executable, "-c", REPLAY]
    found = [
        subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines()
        for _ in range(2)  # what the first process compiles is there for the second
    ]
    assert found[1] == ["tensorgraph_numba.plan.runner", ""]


@linked_here
def test_code_that_was_compiled_is_found_and_linked(found):
    assert elf.link(*found) != elf.link(*found), "each has memory of its own"
    x = np.random.default_rng(0).standard_normal((5, 17)).astype("float32")
    out = np.zeros_like(x)
    (call,) = softmax(x, out, axis=1)
    native.address(call.kernel, "float32")
    made = objects.find(objects.file(call.kernel, "float32"))
    form = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_float)
    form(elf.link(*made))(call.words.ctypes.data, 0.0)
    power = np.exp(x.astype("float64"))
    np.testing.assert_allclose(out, power / power.sum(1, keepdims=True), rtol=1e-6)


@linked_here
def test_files_that_cannot_be_linked(found):
    code, entry = found
    cases = {
        "the file is too short": (code[:20], entry),
        "the file is no ELF object for x86-64": (b"MZ" + code[2:], entry),
        "the file has no function nobody": (code, "nobody"),
    }
    sections = elf._sections(code)
    at = next(i for i, s in enumerate(sections) if s.type == elf.WITH_ADDENDS)
    changed = bytearray(code)
    struct.pack_into("<Q", changed, sections[at].offset + 8, (1 << 32) + 9)
    cases["relocations of type 9 are unknown"] = bytes(changed), entry
    for what, (file, name) in cases.items():
        with pytest.raises(elf.LinkError, match=what):
            elf.link(file, name)
    with pytest.raises(elf.LinkError, match="there_is_no_such_function is not there"):
        elf._outside("there_is_no_such_function")


A = objects.File("a.native", "nowhere")


def test_files_hold_for_a_key_and_are_whole(monkeypatch, tmp_path):
    monkeypatch.setattr(objects, "folder", lambda: tmp_path / "new")
    assert objects.find(A) is None
    objects.save(A, objects.Object(b"\0code\0", "entry"))
    assert objects.find(A) == (b"\0code\0", "entry")
    file = tmp_path / "new" / "a.native"
    whole = file.read_bytes()
    for changed in (whole[:-1], whole[:50], b"", whole[:-1] + b"x", b"x" + whole[1:]):
        file.write_bytes(changed)
        assert objects.find(A) is None
    file.write_bytes(whole)
    assert objects.find(A) is not None
    monkeypatch.setattr(objects, "key", lambda source: bytes(objects.DIGEST))
    assert objects.find(A) is None, "made from other sources"


def test_a_disk_that_takes_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(objects, "folder", lambda: tmp_path / "file")
    objects.save(A, objects.Object(b"code", "entry"))
    assert objects.find(A) is None


def test_the_key_depends_on_settings(monkeypatch):
    key = objects._engine.__wrapped__
    before = key()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert (
        key() == before == objects.key(A.source) == objects.key(walk.function.__code__.co_filename)
    )
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert key() != before


STRANGE = """
import numpy as np
from tensorgraph_numba.native import array, bind, cached, kernel, run
@kernel
def raised(a, like):
    x = array(a, 0, like)
    for i in range(len(x)):
        x[i] += {step}
if __name__ == "__main__":
    x = np.zeros(3, "float32")
    print(cached(raised, "float32"))
    run([bind(raised, 'float32', x)])
    print(x)
"""


def test_a_kernel_that_was_changed_is_compiled_again(tmp_path):
    file = tmp_path / "strange.py"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    for step, there in ((1, False), (1, True), (2, False)):
        file.write_text(STRANGE.format(step=step))
        done = subprocess.run(
            [sys.executable, file], check=True, capture_output=True, text=True, env=environment
        )
        assert done.stdout.splitlines() == [str(there), f"[{step}. {step}. {step}.]"]


def test_llvm_links_elsewhere(monkeypatch):
    """As on other systems."""
    x = np.zeros(4, "float32")
    x[::2] = 1
    (call,) = softmax(x.reshape(1, 4), out := np.zeros((1, 4), "float32"), axis=1)
    native.address(call.kernel, "float32")
    monkeypatch.setattr(elf, "serves", lambda: False)
    monkeypatch.setattr(call.kernel, "addresses", {})
    assert native.loaded(call.kernel, "float32")
    native.run([call])
    np.testing.assert_allclose(out, np.exp(x)[None] / np.exp(x).sum(), rtol=1e-6)
