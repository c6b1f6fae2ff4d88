"""cuDNN where it is installed, without a GPU: its plans for an H200 that is only described
(tests/h200_described.json, written by hand from the published properties), and how it is loaded. No
kernel runs: this is no test of the GPU."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cudnn_double import FrontendDouble, interpret
from emulated_device import EmulatedDevice
from tensorgraph_cupy.kernels import im2col
from tensorgraph_cupy.lib import UnsupportedError, cudnn, loading
from tensorgraph_cupy.lib.convolution import Convolution

H200 = Path(__file__).with_name("h200_described.json")


@pytest.fixture(scope="module")
def frontend():
    try:
        return loading.cudnn()
    except loading.MissingError as error:
        pytest.skip(f"cuDNN's plans are not built: {error}")


ORDERS = {
    "ours after": ("theirs()", "ours()"),
    "ours before": ("ours()", "theirs()"),
    "ours alone": ("ours()",),
}
LOADED = """
import ctypes, json, pathlib, sys
from tensorgraph_cupy.lib import loading

def theirs():  # as a library that is linked against it, such as PyTorch, has the loader do
    name = "libcudnn.so.9"
    return ctypes.CDLL(sys.argv[1] if open_by == "path" else name, mode=ctypes.RTLD_GLOBAL)

def ours():
    global version
    version = loading.cudnn().backend_version()

for step in json.loads(sys.argv[2]):
    open_by = "name" if "version" in globals() else "path"
    eval(step)
words = pathlib.Path("/proc/self/maps").read_text().split()
names = "libcudnn.so", "libcublasLt.so"
print(json.dumps([version, sorted({w for w in words if pathlib.Path(w).name.startswith(names)})]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_a_process_has_one_cudnn(frontend, tmp_path, order):
    """PyTorch may have loaded its own before, from another place, or load it later."""
    from cuda.pathfinder import load_nvidia_dynamic_lib

    path = Path(load_nvidia_dynamic_lib("cudnn").abs_path)
    for file in path.parent.glob("lib*"):
        (tmp_path / file.name).symlink_to(file)
    other = tmp_path / "libcudnn.so.9"
    other.unlink()
    shutil.copy(path, other)
    arguments = ["-c", LOADED, str(other), json.dumps(ORDERS[order])]
    ran = subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True)
    version, files = json.loads(ran.stdout)
    assert version == frontend.backend_version()
    assert len(files) == 2, files
    assert (str(other) in files) == (order == "ours after")


@pytest.fixture(scope="module")
def library(frontend):
    described = frontend.create_device_properties(H200.read_text("utf-8"))
    place = {"device_property": described, "sm_version": 90}
    return cudnn.Cudnn(frontend, EmulatedDevice(), place)


def problem(kind, images, channels, size, filters, kernel, stride=1, padding=None, **more):
    axes = len(size)
    pads = ((kernel // 2,) * 2,) * axes if padding is None else (padding,) * axes
    sizes = (images, channels, filters, size, (kernel,) * axes)
    return Convolution(kind, *sizes, (stride,) * axes, pads, (1,) * axes, **more)


RESNET = [  # channels, size, filters, kernel, stride: ResNet-50's convolutions but the first
    *[(64, 56, 64, 1, 1), (64, 56, 64, 3, 1), (64, 56, 256, 1, 1), (256, 56, 64, 1, 1)],
    *[(256, 56, 128, 1, 1), (128, 56, 128, 3, 2), (128, 28, 512, 1, 1), (256, 56, 512, 1, 2)],
    *[(512, 28, 128, 1, 1), (128, 28, 128, 3, 1), (512, 28, 256, 1, 1), (256, 28, 256, 3, 2)],
    *[(256, 14, 1024, 1, 1), (512, 28, 1024, 1, 2), (1024, 14, 256, 1, 1), (256, 14, 256, 3, 1)],
    *[(1024, 14, 512, 1, 1), (512, 14, 512, 3, 2), (512, 7, 2048, 1, 1), (1024, 14, 2048, 1, 2)],
    *[(2048, 7, 512, 1, 1), (512, 7, 512, 3, 1)],
]
OTHERS = {
    "LeNet's first": lambda k, **p: problem(k, 64, 1, (28, 28), 6, 5, **p),
    "LeNet's second": lambda k, **p: problem(k, 64, 6, (14, 14), 16, 5, padding=(0, 0), **p),
    "colour": lambda k, **p: problem(k, 128, 3, (32, 32), 32, 3, **p),
    "a stem of 8 channels": lambda k, **p: problem(k, 256, 8, (224, 224), 64, 7, 2, **p),
    "one axis": lambda k, **p: problem(k, 8, 4, (50,), 6, 3, **p),
    "a volume": lambda k, **p: problem(k, 2, 4, (8, 9, 10), 6, 3, **p),
    "unequal padding": lambda k, **p: problem(k, 8, 4, (12, 12), 6, 3, padding=(0, 2), **p),
    "groups": lambda k, **p: problem(k, 8, 16, (12, 12), 16, 3, groups=2, **p),
    "depthwise": lambda k, **p: problem(k, 8, 32, (12, 12), 32, 3, groups=32, **p),
    "whole images": lambda k, **p: problem(k, 4, 8, (6, 6), 8, 6, padding=(0, 0), **p),
}
PRECISIONS = {
    "bfloat16": {"dtype": "bfloat16"},
    "tf32": {"arithmetic": "tf32"},
    "float32": {},
    "strict": {"arithmetic": "strict"},
}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "tf32"])
@pytest.mark.parametrize("kind", "yxw")
def test_resnet_50_has_plans_without_copies(library, kind, precision):
    """Channels-last is what cuDNN computes in: no plan asks for the space of a converted tensor."""
    for channels, size, filters, kernel, stride in RESNET:
        asked = problem(kind, 128, channels, (size, size), filters, kernel, stride)
        if asked.is_product():  # kernels/conv.py takes it to cuBLASLt
            continue
        plan = library.plan(asked._replace(**PRECISIONS[precision]))
        images = 128 * channels * size**2 * (2 if precision == "bfloat16" else 4)
        assert plan.workspace < max(images // 8, 16 << 20), asked


@pytest.mark.slow
@pytest.mark.parametrize("kind", "yw")
def test_a_stem_wants_eight_channels_in_bfloat16_alone(library, kind):
    """What plan/stems.py goes by: the memory for copies of the images, with 3, 4 and 8 channels."""

    def spaces(**more):
        stems = [problem(kind, 128, c, (224, 224), 64, 7, 2, **more) for c in (3, 4, 8)]
        return [library.plan(stem).workspace for stem in stems]

    three, four, eight = spaces(dtype="bfloat16")
    assert min(three, four) > 64 << 20 and eight < 16 << 20
    three, four, eight = spaces(arithmetic="tf32")
    assert 0.99 * three < min(four, eight)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", "yxw")
@pytest.mark.parametrize("name", OTHERS)
def test_shapes_of_other_kinds_have_plans(library, name, kind, precision):
    asked = OTHERS[name](kind, **PRECISIONS[precision])
    assert library.plan(asked).workspace <= cudnn.WORKSPACE
    for epilogue in ("bias", "bias_relu") if kind == "y" else ():
        plan = library.plan(asked._replace(epilogue=epilogue))
        assert plan.order == [1, 2, 3, 4]
    assert library.candidates(asked)


@pytest.mark.slow
@pytest.mark.parametrize("number", [-1, 10_000])
def test_a_number_beyond_the_plans_is_refused(library, number):
    with pytest.raises(UnsupportedError, match=f"no plan {number}"):
        library.plan(OTHERS["groups"]("y"), number)


@pytest.mark.slow
@pytest.mark.parametrize("by_order", [True, False])
def test_both_ways_of_running_reach_cudnn(library, by_order, monkeypatch):
    """Without a handle it refuses: what is passed has arrived."""
    monkeypatch.setattr(library, "_handle", 0)
    monkeypatch.setattr(library, "_stream", 0)
    plan = cudnn.Plan(library.plan(OTHERS["groups"]("y")).graph, by_order=by_order)
    with pytest.raises(RuntimeError, match="handle == __null"):
        library.run(plan, {"x": 256, "w": 512, "y": 768, "bias": 0})


@pytest.mark.slow
@pytest.mark.parametrize("epilogue", ["none", "bias", "bias_relu"])
@pytest.mark.parametrize("kind", "yxw")
@pytest.mark.parametrize("name", ["one axis", "a volume", "unequal padding", "groups"])
def test_the_real_graph_says_what_the_double_says(library, name, kind, epilogue):
    """And computes the convolution, when NumPy does what it says."""
    if epilogue != "none" and kind != "y":
        return
    asked = OTHERS[name](kind, epilogue=epilogue)
    real = json.loads(str(library.graph(asked)))
    double = cudnn.Cudnn(FrontendDouble(EmulatedDevice()), EmulatedDevice()).graph(asked)
    described = json.loads(str(double))
    for ours, theirs in zip(described["nodes"], real["nodes"], strict=True):
        keys = {k for k in ours if k not in ("inputs", "outputs")}
        assert {k: theirs[k] for k in keys} == {k: ours[k] for k in keys}
        assert theirs["inputs"].keys() == ours["inputs"].keys()
        assert theirs["outputs"].keys() == ours["outputs"].keys()
    for uid in map(str, cudnn.UIDS.values()):
        if uid in described["tensors"]:
            for key in ("dim", "stride", "data_type"):
                assert real["tensors"][uid][key] == described["tensors"][uid][key]
    draw = np.random.default_rng(0).standard_normal
    held = {k: np.moveaxis(draw(s), 1, -1).astype("float32") for k, s in asked.shapes().items()}
    held = {k: np.ascontiguousarray(a) for k, a in held.items()}
    held["bias"] = draw(asked.filters).astype("float32")
    interpret(real, {uid: held[k].ctypes.data for k, uid in cudnn.UIDS.items()})
    given = {k: getattr(asked, k) for k in ("stride", "padding", "dilation", "groups")}
    x, w, y = (np.moveaxis(held[k], -1, 1).astype("float64") for k in "xwy")
    want = {
        "y": lambda: im2col.conv(np, x, w, **given),
        "x": lambda: im2col.conv_input(np, y, w, size=asked.size, **given),
        "w": lambda: im2col.conv_weight(np, x, y, size=asked.kernel, **given),
    }[kind]()
    if epilogue != "none":
        want = want + held["bias"].reshape(-1, *[1] * len(asked.size))
    want = np.maximum(want, 0) if epilogue == "bias_relu" else want
    got = {"y": y, "x": x, "w": w}[kind]
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
