"""The published shapes: counted against what their sources say, and files of one's own."""

import pytest
from tensorgraph_bench import cases, shapes
from tensorgraph_bench.samples import Sample

import tensorgraph as tg
from tensorgraph import Spec, Tensor
from tensorgraph.backend import ABSTRACT
from tensorgraph.errors import ConfigError

SETS = shapes.built_in()


def multiply_adds(*names):
    """Of one image through the forward convolutions and products of sets."""
    total = 0
    for name in names:
        for row in SETS[name].rows:
            forward = row.samples[0]
            calls = cases.traced(forward)
            total += row.times * sum(call.flops for call in calls) / 2 / forward.inputs[0][0]
    return total


def test_networks_cost_what_is_published():
    """ResNet-18: 1.8e9 (He et al., table 1). ResNet-50 with its stride in the 3 by 3 convolutions:
    4.09e9, VGG-16: 15.47e9 (both torchvision's documentation, "GFLOPS", with the dense layers)."""
    assert multiply_adds("resnet-18") + 512 * 1000 == pytest.approx(1.81e9, rel=0.01)
    assert multiply_adds("resnet-50") + 2048 * 1000 == pytest.approx(4.09e9, rel=0.01)
    assert multiply_adds("vgg-16", "vgg-16-dense") == pytest.approx(15.47e9, rel=0.01)
    assert multiply_adds("lenet-5", "lenet-5-dense") == 6 * 25 * 784 + 16 * 150 * 100 + 58920


def test_deepbench_is_there_as_published():
    assert len(SETS["deepbench-conv"].rows) == 94
    assert len(SETS["deepbench-gemm"].rows) == 160
    (speech, *_), *_ = (row.samples for row in SETS["deepbench-conv"].rows)
    assert speech.inputs == ((4, 1, 161, 700), (32, 1, 5, 20))
    (call,) = cases.traced(speech)
    assert call.params["stride"] == (2, 2) and call.out.shape == (4, 32, 79, 341)


def test_every_set_names_its_source_and_can_be_called():
    for name, each in SETS.items():
        assert each.source, name
        assert each.rows and set(each.default) <= set(each.rows)
    for sample in shapes.samples(every=True):
        xs = [Tensor(None, ABSTRACT, Spec(shape)) for shape in sample.inputs]
        assert isinstance(sample.call(*xs), tg.Tensor), sample


def test_names_are_told_apart_and_say_the_shape():
    every = shapes.samples(every=True)
    assert len({str(s) for s in every}) == len(every)
    names = {str(s) for s in every}
    assert "conv-resnet-50 8x128x56x56 128 3x3 stride 2 pad 1" in names
    assert "conv_weight-odd 5x50x29x29 75 5x5 stride 2 pad 2 groups 5" in names
    assert "matmul-deepbench-gemm 1760x1760T 1760x64" in names
    few = shapes.samples()
    assert 40 < len(few) < 80 and {str(s) for s in few} < names


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("""
[mine]
op = "clip"
source = "a network of ours"
rows = [{inputs = [[4, 5]], parameters = {min = 0.2, max = 0.4}}, {inputs = [[]], label = "one"}]
[images]
op = "conv"
columns = ["n", "c", "h", "w", "k", "r", "s", "stride_h", "stride_w", "padding_h", "padding_w"]
rows = [[1, 2, 9, 8, 4, 3, 3, 2, 1, 0, 1]]
""")
    first, one, *convolutions = shapes.samples([str(path)])
    assert str(first) == "clip-mine 4x5 min=0.2 max=0.4"
    assert first.call(tg.tensor([0.0, 0.3, 9.0])).numpy().tolist() == pytest.approx([0.2, 0.3, 0.4])
    assert str(one) == "clip-mine one" and one.inputs == ((),)
    assert str(convolutions[0]) == "conv-images 1x2x9x8 4 3x3 stride 2x1 pad 0x1"
    assert [s.op for s in convolutions] == ["conv", "conv_input", "conv_weight"]
    assert all(isinstance(s, Sample) for s in convolutions)


PRODUCT = "[a]\nop = 'matmul'\ncolumns = ['m', 'k', 'n']\n"
BROKEN = {
    "rows = [": "mine.toml is not TOML: ",
    "mine = 3": r"\[mine\] in .*mine.toml: a set of shapes is a table with op and rows",
    "[a]\nop = 'conv'\nrows = []\nsauce = ''": "has no key 'sauce'; did you mean 'source'",
    "[a]\nop = 'exp'\nrows = [[1, 2]]": r"known for conv and matmul; for 'exp' write \{inputs = \[",
    "[a]\nop = 'matmul'\ncolumns = ['m', 'l']\nrows = [[1, 2]]": "matmul has no column 'l'",
    "[a]\nop = 'matmul'\ncolumns = ['m']\nrows = [[1]]": "matmul needs columns for k, n as well",
    f"{PRODUCT}rows = [[1, 2]]": r"row 0: \[1, 2\] are not 3 whole numbers, one for each of m, k",
    "[a]\nop = 'exp'\nrows = [{shape = [3]}]": r"row 0: \{'shape': \[3\]\} has to be inputs, a lis",
    "[a]\nop = 'exp'\nrows = [{inputs = [[3]]}]\ndefault = [1]": r"default = \[1\] are not among i",
}


@pytest.mark.parametrize("text", BROKEN)
def test_mistakes_in_a_file(text, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=BROKEN[text]):
        shapes.read(path)
