"""The roofline plot: points and limits where their figures are, words apart."""

import math
import random
from xml.etree import ElementTree

import pytest
from bench_help import result, row
from tensorgraph_bench import roofline

from tensorgraph.errors import ConfigError

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*rows):
    return ElementTree.fromstring(roofline.draw(result(*rows)))


def group(root, name):
    (found,) = [g for g in root.iter(f"{SVG}g") if g.get("class") == name]
    return found


def scale(root):
    """Two functions from data to pixels, from where the words of the axes stand."""
    texts = list(group(root, "axis").iter(f"{SVG}text"))
    paths = [p.get("d") for p in group(root, "axis").iter(f"{SVG}path")]
    upright = [float(d[1:].split(",")[0]) for d in paths if "V" in d]
    level = [float(d.split(",")[1].split()[0]) for d in paths if "H" in d]
    numbers = [float(t.text) for t in texts[: len(paths)]]
    xs, ys = numbers[: len(upright)], numbers[len(upright) :]

    def along(values, pixels):
        step = (pixels[-1] - pixels[0]) / math.log10(values[-1] / values[0])
        return lambda value: pixels[0] + step * math.log10(value / values[0])

    return along(xs, upright), along(ys, level)


def test_points_lie_at_their_intensity_and_speed():
    root = drawn(row("a", 5e7, 20.0), row("b", 2e6, 0.3), row("view", 0, None))
    x, y = scale(root)
    dots = list(group(root, "points").iter(f"{SVG}circle"))
    found = [(float(d.get("cx")), float(d.get("cy"))) for d in dots]
    wanted = [(x(20.0), y(50.0)), (x(0.3), y(2.0))]  # GFLOP/s
    assert len(found) == 2, "what computes nothing is no point"
    for a, b in zip(found, wanted, strict=True):
        assert a == pytest.approx(b, abs=0.2)
    titles = [d.find(f"{SVG}title").text for d in dots]
    assert titles[0] == "50.0 GFLOP/s, 50% a on numpy by im2col"


def points(path):
    return [tuple(map(float, p.split(","))) for p in path.get("d")[1:].split()]


def test_the_limits_are_drawn_where_they_were_measured():
    root = drawn(row("a", 5e7, 20.0))
    x, y = scale(root)
    memory, cache = group(root, "limits").iter(f"{SVG}path")
    (left, low), (ridge, roof), (_, end) = points(memory)
    assert (ridge, roof) == pytest.approx((x(10.0), y(100.0)), abs=0.2), "100 GFLOP/s at 10 GB/s"
    assert roof == end and left < ridge and low > roof
    intensity = 10 ** (math.log10(10.0) - (ridge - left) / (x(10.0) - x(1.0)))
    assert low == pytest.approx(y(10.0 * intensity), abs=1.0), "below the ridge: bytes by 10 GB/s"
    assert points(cache)[1] == pytest.approx((x(2.5), y(100.0)), abs=0.2), "at 40 GB/s"
    words = [t.text for t in group(root, "limits").iter(f"{SVG}text")]
    assert words == ["numpy float32: products 100 GFLOP/s, copies 10 GB/s, dashed in a cache 40"]


def test_no_two_words_overlap():
    rng = random.Random(1)
    rows = [
        row(f"op{i}", 10 ** rng.uniform(6, 7.5), 10 ** rng.uniform(0, 1), kernel=f"k{i % 3}")
        for i in range(80)
    ]
    root = drawn(*rows)
    points = group(root, "points")
    labels = list(points.iter(f"{SVG}text"))
    assert [t.text for t in labels] == [str(i + 1) for i in range(80)]
    boxes = [
        roofline.Box(float(t.get("x")), float(t.get("y")) - 10, 6.6 * len(t.text), 14)
        for t in labels
    ]
    dots = [
        roofline.Box(float(c.get("cx")) - 3.4, float(c.get("cy")) - 3.4, 6.8, 6.8)
        for c in points.iter(f"{SVG}circle")
    ]
    small = [roofline.Box(b.x + 0.1, b.y + 0.1, b.width - 0.2, b.height - 0.2) for b in boxes]
    for i, box in enumerate(small):
        assert not any(box.overlaps(other) for other in small[:i])
        assert not any(box.overlaps(dot) for dot in dots)
    headings = [t.text for t in group(root, "list").iter(f"{SVG}text") if t.get("class")]
    listed = [t.text.split() for t in group(root, "list").iter(f"{SVG}text") if not t.get("class")]
    assert len(listed) == 80 and listed[4][0] == "5" and listed[4][2:] == ["50%", "op4"]
    assert [h.split() for h in headings] == [["GFLOP/s", "limit", "sample"]] * 2
    height = float(root.get("height"))
    assert all(float(t.get("y")) < height for t in root.iter(f"{SVG}text"))


def test_a_color_for_each_kernel():
    root = drawn(*(row("a", 5e7, 2.0 + i, kernel=k) for i, k in enumerate("xyx")))
    colors = [c.get("fill") for c in group(root, "points").iter(f"{SVG}circle")]
    assert colors[0] == colors[2] != colors[1]
    legend = group(root, "legend")
    named = [t.text for t in legend.iter(f"{SVG}text")]
    shown = [c.get("fill") for c in legend.iter(f"{SVG}circle")]
    assert dict(zip(named, shown, strict=True)) == {
        "x on numpy": colors[0],
        "y on numpy": colors[1],
    }


def test_a_page_around_it(tmp_path):
    roofline.write(tmp_path / "a.html", result(row("a", 5e7, 2.0)))
    text = (tmp_path / "a.html").read_text("utf-8")
    assert text.startswith("<!doctype html>") and "<svg " in text


def test_mistakes(tmp_path):
    with pytest.raises(ConfigError, match=r"--plot a.png: give a file that ends in .svg or .html"):
        roofline.write(tmp_path.relative_to(tmp_path) / "a.png", result(row("a", 5e7, 2.0)))
    with pytest.raises(ConfigError, match="--plot: none of the cases computes anything, so there"):
        roofline.draw(result(row("view", 0, None)))
