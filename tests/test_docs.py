"""The pages: every example prints what it says, every link leads to the lines it names."""

from pathlib import Path

import pytest
from doc_blocks import blocks, run
from doc_lines import renewed

ROOT = Path(__file__).parent.parent
COURSE = ROOT / "docs" / "course.md"
PLUGINS = ROOT / "docs" / "extending" / "README.md"
PLANS = ROOT / "docs" / "plans.md"
CHECKING = ROOT / "docs" / "checking.md"
EXPLAINING = ROOT / "docs" / "explaining.md"
KERNELS = ROOT / "docs" / "gpu-kernels.md"
PAGES = [ROOT / "README.md", COURSE, PLUGINS, PLANS, CHECKING, EXPLAINING, KERNELS]
EXAMPLES = [(page, block) for page in PAGES if page.exists() for block in blocks(page, "python")]

pytestmark = pytest.mark.skipif(not COURSE.exists(), reason="the pages are not here")


def on_two_threads(monkeypatch):
    """Numba's kernels at once, on two threads: what the page on plans shows."""
    pytest.importorskip("numba")
    monkeypatch.setenv("TENSORGRAPH_JIT", "wait")
    monkeypatch.setattr("tensorgraph_numpy.threads.POOL.threads", 2)


@pytest.mark.parametrize(
    ("page", "example"), EXAMPLES, ids=[f"{p.name}:{b.line}" for p, b in EXAMPLES]
)
def test_an_example_prints_what_the_page_says(page, example, monkeypatch):
    if page == PLANS:
        on_two_threads(monkeypatch)
    assert example.output is not None, "every example shows what it prints"
    assert run(example.code) == example.output


def test_the_picture_is_that_of_the_first_plan(monkeypatch, tmp_path):
    on_two_threads(monkeypatch)
    path = tmp_path / "plan.svg"
    run(blocks(PLANS, "python")[0].code + f"step.plan.draw({str(path)!r})")
    assert path.read_text("utf-8") == (PLANS.parent / "plan.svg").read_text("utf-8"), (
        'draw it anew: step.plan.draw("docs/plan.svg")'
    )


@pytest.mark.parametrize(
    "example", [b for p, b in EXAMPLES if p == COURSE], ids=lambda b: str(b.line)
)
def test_an_example_of_the_course_is_short(example):
    assert len([line for line in example.code.splitlines() if line.strip()]) <= 15


@pytest.mark.skipif(
    not (COURSE.parents[1] / "tensorgraph").is_dir(), reason="the source tree is not here"
)
def test_the_course_links_to_the_lines_as_they_are():
    assert renewed(COURSE) == COURSE.read_text("utf-8"), (
        "run python tests/doc_lines.py docs/course.md"
    )


CONCEPTS = """image as a matrix, neuron, sigmoid, loss, gradient descent, chain rule,
multilayer network, hyperparameters, vanishing gradient, overfitting, dropout, L1 and L2, Adam,
convolution and filters, feature maps, pooling, classification head"""


@pytest.mark.parametrize("concept", [c.strip() for c in CONCEPTS.replace("\n", " ").split(",")])
def test_every_concept_of_a_first_course_has_code_and_an_example(concept):
    rows = [line for line in COURSE.read_text("utf-8").splitlines() if f"| [{concept}](#" in line]
    assert len(rows) == 1 and ".py#L" in rows[0]
    anchor = rows[0].split("](#")[1].split(")")[0]
    headings = [
        line[3:].lower().replace(" ", "-") for line in COURSE.read_text("utf-8").splitlines()
        if line.startswith("## ")
    ]  # fmt: skip
    assert anchor in headings
