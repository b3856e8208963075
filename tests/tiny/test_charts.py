"""Charts and wireframes: what the pixels, matplotlib and a browser say about the data and the code."""

import json
import runpy
import shutil

import numpy as np
import pytest

from cookbook_utils.coordinates import iou
from cookbook_utils.parsing import extract_code, parse_boxes
from cookbook_utils.tiny import charts, figure_tasks, pages, wireframes
from cookbook_utils.tiny.page_paper import new_paper

SIZE = (352, 256)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def press(draw, seed, size=SIZE):
    """A chart or a wireframe as it comes from the press: not worn."""
    rng = np.random.default_rng([31, seed])
    paper = new_paper(rng, size)
    paper.font, paper.bold = (font._replace(size=16) for font in (paper.font, paper.bold))
    paper.box(0, 0, *size, fill=(255, 255, 255))
    paper.paper = (255, 255, 255)
    paper.figure = draw(paper, rng)
    paper.marks = paper.figure.marks
    return paper.finish("chart")


def of_colour(page, colour):
    """Which pixels `(height, width)` have a colour."""
    return np.abs(np.asarray(page.image, int) - np.array(colour)).max(2) < 12


def middle(run, axis):
    x1, y1, x2, y2 = run.box_xyxy
    return (x1 + x2) / 2 if axis == 0 else (y1 + y2) / 2


def scale_of(page, axis):
    """The axis as its labels say it: a function from pixels to values."""
    other = {id(run) for run in (*page.figure.names, *page.figure.spoken)}
    named = [run for line in page.lines[1:] for run in line.runs if id(run) not in other]
    values, places = [int(run.text) for run in named], [middle(run, axis) for run in named]
    slope, offset = np.polyfit(places, values, 1)
    return lambda place: slope * place + offset


def shown_values(page):
    """The values of a chart, measured on its pixels."""
    chart = page.figure
    if chart.kind == "pie":
        areas = [of_colour(page, tuple(round(0.86 * c) for c in colour)).sum() for colour in charts.COLOURS.values()]
        return [100 * area / sum(areas) for area in areas[: len(chart.values)]]
    inked, value = of_colour(page, charts.COLOURS[chart.colour]), scale_of(page, 0 if chart.kind == "barh" else 1)
    found = []
    for mark in chart.marks:
        x, y = middle(mark, 0), middle(mark, 1)
        if chart.kind == "line":
            around = inked[round(y) - 5 : round(y) + 6, round(x) - 3 : round(x) + 4]
            found.append(value(np.flatnonzero(around.any(1)).mean() + round(y) - 4.5))
        elif chart.kind == "bar":
            found.append(value(np.flatnonzero(inked[:, round(x)])[0]))
        else:
            found.append(value(np.flatnonzero(inked[round(y)])[-1] + 1))
    return found


DRAWN = {
    "bar": lambda paper, rng: charts.upright(paper, rng, int(rng.integers(2, 7)), "bar"),
    "line": lambda paper, rng: charts.upright(paper, rng, int(rng.integers(2, 7)), "line"),
    "barh": lambda paper, rng: charts.sideways(paper, rng, int(rng.integers(2, 7))),
    "pie": lambda paper, rng: charts.pie(paper, rng, int(rng.integers(2, 6))),
}


@pytest.mark.parametrize("kind", DRAWN)
def test_the_pixels_show_the_values(kind):
    for seed in range(12):
        page = press(DRAWN[kind], seed)
        wrong = np.abs(np.subtract(shown_values(page), page.figure.values)) / page.figure.top
        assert wrong.max() < (0.05 if kind == "pie" else 0.03), (seed, page.figure.values)


@pytest.mark.parametrize("kind", DRAWN)
def test_the_code_runs_and_draws_the_same_chart(kind, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: None)
    page = press(DRAWN[kind], 3)
    chart, file = page.figure, tmp_path / "chart.py"
    file.write_text(chart.code())
    runpy.run_path(str(file))
    axes = plt.gca()
    assert axes.get_title() == chart.title.text
    assert drawn_by_matplotlib(axes, kind) == (chart.labels, chart.values)
    plt.close("all")


def drawn_by_matplotlib(axes, kind):
    """Labels and values of what is drawn on axes."""
    axes.figure.canvas.draw()
    if kind == "pie":
        shares = [round((wedge.theta2 - wedge.theta1) / 3.6) for wedge in axes.patches]
        return [wedge.get_label() for wedge in axes.patches], shares
    if kind == "line":
        labels = [tick.get_text() for tick in axes.get_xticklabels()]
        return labels, [int(v) for v in axes.lines[0].get_ydata()]
    ticks = axes.get_yticklabels() if kind == "barh" else axes.get_xticklabels()
    return [tick.get_text() for tick in ticks], [int(b.get_width() if kind == "barh" else b.get_height()) for b in axes.patches]


def page_of(kind, seed, size=SIZE):
    return pages.render(np.random.default_rng([32, seed]), size, kind=kind)


def test_a_horizontal_bar_has_its_value_behind_its_end_or_nowhere():
    written = []
    for seed in range(20):
        chart = press(lambda paper, rng: charts.sideways(paper, rng, 4), seed).figure
        written.append(bool(chart.spoken))
        if chart.spoken:
            assert [int(run.text) for run in chart.spoken] == chart.values
            for run, mark in zip(chart.spoken, chart.marks, strict=True):
                assert mark.box_xyxy[2] < run.box_xyxy[0] and run.box_xyxy[2] <= SIZE[0]
                assert mark.box_xyxy[1] <= middle(run, 1) <= mark.box_xyxy[3]
    assert 5 < sum(written) < 18


@pytest.mark.parametrize("seed", range(12))
def test_table_and_code_in_answers_are_the_charts_own(seed):
    page, rng = page_of("chart", seed), np.random.default_rng(seed)
    chart = page.figure
    assert figure_tasks.chart_table(page, rng).answer == chart.table()
    assert extract_code(figure_tasks.chart_code(page, rng).answer, "python") == chart.code()
    rows = [row.strip("| ").split(" | ") for row in chart.table().splitlines()[2:]]
    assert [(label, int(value)) for label, value in rows] == list(zip(chart.labels, chart.values, strict=True))


def test_questions_about_charts_are_answered_right():
    extremes = 0
    for seed in range(25):
        page, rng = page_of("chart", seed), np.random.default_rng(seed)
        chart = page.figure
        turn = figure_tasks.chart_value(page, rng)
        label = turn.prompt.split('"')[1]
        assert int(turn.answer) == dict(zip(chart.labels, chart.values, strict=True))[label]
        turn = figure_tasks.chart_extreme(page, rng)
        if turn:
            extremes += 1
            best = max if "highest" in turn.prompt else min
            right = chart.values.index(best(chart.values))
            assert turn.answer == chart.labels[right] and turn.mentions == [(turn.mentions[0][0], [chart.marks[right]])]
    assert extremes > 10


def test_labels_of_a_chart_do_not_touch():
    for seed in range(25):
        page = page_of("chart", seed)
        boxes = np.array([name.box_xyxy for name in page.figure.names])
        assert (iou(boxes, boxes) - np.eye(len(boxes))).max() == 0, seed
        assert all(0 <= x1 and x2 <= SIZE[0] and 0 <= y1 and y2 <= SIZE[1] for x1, y1, x2, y2 in boxes), seed


def test_percentages_add_up():
    for count in range(2, 6):
        values = charts.percentages(np.random.default_rng(count), count)
        assert sum(values) == 100 and len(values) == count and min(values) >= 8


# --- wireframes ------------------------------------------------------------------------------


def test_the_html_in_answers_is_the_wireframes_own():
    for seed in range(10):
        page = page_of("wireframe", seed, (256, 352))
        turn = figure_tasks.wire_html(page, np.random.default_rng(seed))
        assert extract_code(turn.answer, "html") == page.figure.html()
        assert all(widget.text in turn.answer or widget.kind == "nav" for widget in page.marks)


def test_widgets_lie_inside_the_picture_and_apart():
    for seed in range(15):
        for size in (SIZE, (256, 352), (256, 256)):
            boxes = np.array([widget.box_xyxy for widget in page_of("wireframe", seed, size).marks])
            assert (iou(boxes, boxes) - np.eye(len(boxes))).max() == 0
            assert boxes.min() >= 0 and (boxes[:, 2:] <= size).all()


def test_widgets_are_found_by_kind_and_by_text():
    absent = 0
    for seed in range(30):
        page = page_of("wireframe", seed, (256, 352))
        turn = figure_tasks.find_widget(page, np.random.default_rng(seed))
        if not turn:
            continue
        items = parse_boxes(turn.answer, page.size)
        assert len(items) == len(turn.mentions[0][1]) and '"[' not in json.dumps(items)
        absent += not items
        for item in items:
            near = max(page.marks, key=lambda widget: iou([widget.box_xyxy], [item["bbox_2d"]])[0, 0])
            assert wireframes.NAMES[near.kind] == item["label"] and item["label"] in turn.prompt
            assert near.text in turn.prompt or "every" in turn.prompt
    assert absent


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on the PATH")
def test_a_browser_lays_the_html_out_like_the_picture():
    playwright = pytest.importorskip("playwright.sync_api")
    script = """() => [...document.querySelectorAll('header, nav, img, p, input, button, .card')].map(e => {
        const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom] })"""
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for size in ((256, 352), SIZE):
            view = browser.new_page(viewport={"width": size[0], "height": size[1]})
            for seed in range(6):
                page = page_of("wireframe", seed, size)
                view.set_content(wireframes.styled(page.figure.html()))
                seen = np.array(view.evaluate(script))
                overlap = np.diag(iou(seen, [widget.box_xyxy for widget in page.marks]))
                assert len(seen) == len(page.marks) and overlap.min() > 0.95, page.figure.html()
        browser.close()
