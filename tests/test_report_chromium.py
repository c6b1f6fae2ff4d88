"""The report in a real browser: Debian's Chromium through Playwright; skipped where one is not."""

import itertools
import shutil
from pathlib import Path

import pytest
from report_help import manifest, trained
from training_help import command

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt install chromium"),
]
FIGURES = 7  # plots of a run of two classes with a subgroup: losses, metric, forest, four curves


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chromium")
    data = manifest(folder / "images", n=60, site=["Lyon", "Basel"], sex=["f", "m"])
    run = trained(data, folder / "run", epochs=3)
    assert command("report", run) == 0
    return run / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, report):
    """Opens the report in a window of that width; what went wrong and what was asked for."""
    pages = []

    def at(width):
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(report.as_uri())
        return page

    yield at
    for page in pages:
        page.close()


@pytest.mark.parametrize("width", [1280, 400, 320])
def test_no_errors_no_requests_no_sideways_scrolling(opened, report, width):
    page = opened(width)
    assert page.said == []
    assert [url for url in page.asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_plot_is_seen(opened):
    page = opened(1280)
    images = page.locator("img")
    sizes = images.evaluate_all("all => all.map(x => [x.complete, x.naturalWidth, x.clientWidth])")
    assert len(sizes) > FIGURES
    assert all(complete and own > 0 and shown > 0 for complete, own, shown in sizes)
    assert page.locator(".plot img").count() >= FIGURES
    assert page.locator("svg.diagram text").count() > 10
    background, color = page.evaluate(
        "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    )
    assert (background, color) == ("rgb(255, 255, 255)", "rgb(27, 31, 36)"), "its style is applied"


def test_a_plot_is_drawn_and_not_blank(opened):
    """The pictures lie in an image of their own, whose style the page's policy must not stop."""
    page = opened(1280)
    for plot in page.locator(".plot img").all():
        shot = plot.screenshot()
        assert len(shot) > 3000, plot.get_attribute("alt")


def test_everything_is_reached_by_the_keyboard(opened):
    page = opened(1280)
    reached = []
    for _ in range(200):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(() => { const x = document.activeElement; return x === document.body ? null :"
            " [x.tagName, x.getAttribute('href') || x.getAttribute('aria-labelledby') || '',"
            "  getComputedStyle(x).outlineStyle] })()"
        )
        if found is None:
            break
        reached.append(found)
    names = [name for name, _, _ in reached]
    assert reached[0][:2] == ["A", "#report"], "first the link over the list"
    assert names.count("A") == page.locator("a").count()
    assert names.count("SUMMARY") == page.locator("summary").count()
    assert names.count("DIV") == page.locator("[role=region]:visible").count()
    assert all(outline != "none" for _, _, outline in reached)


def test_the_keyboard_opens_what_is_folded(opened):
    page = opened(1280)
    folded = page.locator("details").first
    assert not folded.locator("table").is_visible()
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.locator("table").is_visible()


def test_the_list_leads_to_the_sections(opened):
    page = opened(1280)
    page.locator("nav a", has_text="Model").click()
    top = page.evaluate("document.getElementById('model').getBoundingClientRect().top")
    assert -5 <= top <= 60


def test_a_script_in_the_page_would_not_run(browser, report, tmp_path):
    """The policy is what keeps it from running: without it it runs."""
    text = report.read_text("utf-8")
    script = "<script>document.title = 'ran'</script></head>"
    stopped, ran = tmp_path / "stopped.html", tmp_path / "ran.html"
    stopped.write_text(text.replace("</head>", script, 1), "utf-8")
    bare = text.replace("Content-Security-Policy", "nothing", 1)
    ran.write_text(bare.replace("</head>", script, 1), "utf-8")
    page = browser.new_page()
    page.goto(ran.as_uri())
    assert page.title() == "ran"
    page.goto(stopped.as_uri())
    assert page.title() != "ran"
    page.close()


def test_it_prints(opened, tmp_path):
    page = opened(1280)
    path = tmp_path / "report.pdf"
    page.pdf(path=path, format="A4")
    content = path.read_bytes()
    assert content.startswith(b"%PDF")
    assert 4 <= content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") <= 40
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("figcaption").first.is_visible()


def test_reading_order_of_headings(opened):
    page = opened(400)
    levels = page.locator("h1, h2, h3").evaluate_all("all => all.map(x => +x.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_colours_have_contrast(opened):
    """WCAG 2's 4.5 to 1 of every text that lies on a plain ground."""
    page = opened(1280)
    found = page.evaluate(Path(__file__).with_name("contrast.js").read_text("utf-8"))
    assert len(found) > 100
    low = [(text, ratio) for text, ratio in found if ratio < 4.5]
    assert not low, low[:5]
