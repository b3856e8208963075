"""Questions about charts and wireframes: data as a table, code that draws them again, values, parts and where they are."""

from __future__ import annotations

from collections.abc import Callable

from .page_answers import EMPTY_LIST, LIST_END, Answer, boxes_and_labels, turn
from .page_paper import Page
from .turns import Turn, pick
from .wireframes import NAMES, Widget

TO_TABLE = (
    "Convert this chart to a Markdown table.", "Extract the data of the chart as a Markdown table.",
    "What data does the chart show? Answer with a Markdown table.", "将图表中的数据提取为Markdown表格。",
)  # fmt: skip
TO_CODE = (
    "Convert this chart image to Python matplotlib code that can reproduce the chart.", "Write matplotlib code that redraws this chart.",
    "Generate the Python matplotlib code for this chart.", "用matplotlib代码重绘这张图表。",
)  # fmt: skip
TO_HTML = (
    "Analyze this screenshot and convert it to clean, functional and modern HTML code.", "Convert this wireframe to HTML code.",
    "Turn this sketch of a web page into HTML.", "把这张网页草图转换成HTML代码。",
)  # fmt: skip


def truth_of(page: Page) -> dict:
    """A chart as plain data; `top` is the end of its axis."""
    shown = page.figure
    return {"kind": shown.kind, "title": shown.title.text, "labels": shown.labels, "values": shown.values, "top": shown.top}


def tell_value(answer: Answer, page: Page, index: int, lead: str = "") -> Answer:
    """Adds a value: read where it is written, else with an eye on its mark."""
    chart = page.figure
    if chart.spoken:
        digits = chart.spoken[index].part(0, len(str(chart.values[index])))
        return answer.read(digits, lead)
    return answer.say(lead + str(chart.values[index]), chart.marks[index])


def chart_table(page: Page, rng) -> Turn | None:
    if page.kind != "chart":
        return None
    answer = Answer().say("| Label | Value |\n|---|---|")
    for index, name in enumerate(page.figure.names):
        answer.read(name, (" |" if index else "") + "\n| ")
        tell_value(answer, page, index, " | ")
    return turn("chart_table", pick(rng, TO_TABLE), answer, truth_of(page), tail=" |")


def chart_code(page: Page, rng) -> Turn | None:
    """The code of `Chart.code`, letter by letter, in a fence."""
    if page.kind != "chart":
        return None
    shown = page.figure
    code = shown.code()
    before = code.partition("plt.pie([" if shown.kind == "pie" else "([")[0]
    answer = Answer().say("```python\n" + before, shown.marks[0])
    for part in ("values", "names") if shown.kind == "pie" else ("names", "values"):
        if part == "names":
            opened = "], labels=[" if shown.kind == "pie" else "(["
            for index, name in enumerate(shown.names):
                answer.read(name, '", "' if index else opened + '"')
        else:
            opened = "plt.pie([" if shown.kind == "pie" else '"], ['
            for index in range(len(shown.values)):
                tell_value(answer, page, index, ", " if index else opened)
    rest = code[len(answer.text) - len("```python\n") :]
    middle, _, end = rest.partition(shown.title.text)
    answer.say(middle, shown.marks[0]).read(shown.title)
    return turn("chart_code", pick(rng, TO_CODE), answer, truth_of(page), tail=end + "\n```")


def chart_value(page: Page, rng) -> Turn | None:
    if page.kind != "chart":
        return None
    index = int(rng.integers(len(page.figure.values)))
    label = page.figure.labels[index]
    wording = ('What is the value of "{}"?', 'What value does the chart show for "{}"?', '图表中"{}"的值是多少？')
    answer = tell_value(Answer(), page, index)
    mentions = [(f'"{label}"', [page.figure.marks[index]])]
    return turn(
        "chart_value",
        pick(rng, wording).format(label),
        answer,
        {"value": page.figure.values[index], **truth_of(page)},
        mentions=mentions,
    )


def chart_extreme(page: Page, rng) -> Turn | None:
    """The label with the highest or the lowest value."""
    if page.kind != "chart":
        return None
    values, most = page.figure.values, rng.random() < 0.5
    ordered = sorted(values, reverse=most)
    if abs(ordered[0] - ordered[1]) < 0.04 * page.figure.top:
        return None
    word = "highest" if most else "lowest"
    wording = ("Which label has the {} value?", "Which part of the chart has the {} value?")
    best = values.index(ordered[0])
    answer, mentions = Answer().read(page.figure.names[best]), [(word, [page.figure.marks[best]])]
    return turn("chart_extreme", pick(rng, wording).format(word), answer, {"answer": answer.text}, mentions=mentions)


def chart_facts(page: Page, rng) -> Turn | None:
    """What kind of chart it is, its title, or how many values it shows."""
    if page.kind != "chart":
        return None
    shown, draw = page.figure, rng.random()
    if draw < 0.4:
        return turn("chart_facts", pick(rng, ("What is the title of the chart?", "Read the chart's title.")),
                    Answer().read(shown.title), {"answer": shown.title.text})  # fmt: skip
    if draw < 0.7:
        kind = {"bar": "bar chart", "barh": "horizontal bar chart", "line": "line chart", "pie": "pie chart"}[shown.kind]
        return Turn("chart_facts", "What kind of chart is this?", kind, {"answer": kind})
    noun, count = {"line": "points", "pie": "slices"}.get(shown.kind, "bars"), str(len(shown.values))
    return Turn(
        "chart_facts",
        f"How many {noun} does the chart have? Answer with a number.",
        count,
        {"answer": count},
        [(noun, shown.marks)],
    )


def wire_html(page: Page, rng) -> Turn | None:
    if page.kind != "wireframe":
        return None
    answer, closed = Answer(), "```html\n"
    for before, widget, between, after in page.figure.pieces():
        answer.say(closed + before, widget)
        for index, run in enumerate(widget.runs):
            answer.read(run, between if index else "")
        closed = after
    return turn("wire_html", pick(rng, TO_HTML), answer, {"html": page.figure.html()}, tail=closed.rstrip("\n") + "\n```")


def find_widget(page: Page, rng) -> Turn | None:
    """The box of one block by what is written on it, or of all blocks of a kind, some of which may be absent."""
    if page.kind != "wireframe":
        return None
    found, wording, phrase = all_of_a_kind(page, rng) if rng.random() < 0.4 else one_by_its_text(page, rng)
    if not wording:
        return None
    prompt = wording + pick(rng, (" Report bbox_2d and label in JSON format.", " Output its bbox_2d and label as JSON."))
    answer, items = boxes_and_labels(found, [NAMES[widget.kind] for widget in found], page.size)
    return turn(
        "find_widget", prompt, answer, {"items": items}, mentions=[(phrase, found)], tail=LIST_END if found else EMPTY_LIST
    )


def all_of_a_kind(page: Page, rng) -> tuple[list[Widget], str, str]:
    kind = pick(rng, list(NAMES))
    found = [widget for widget in page.marks if widget.kind == kind]
    return found, f"Locate every {NAMES[kind]} in the image.", NAMES[kind]


def one_by_its_text(page: Page, rng) -> tuple[list[Widget], str, str]:
    named = [widget for widget in page.marks if widget.kind in ("button", "input", "card")]
    if not named:
        return [], "", ""
    found = pick(rng, named)
    phrase = f'{NAMES[found.kind]} "{found.text}"'
    same = [widget for widget in named if (widget.kind, widget.text) == (found.kind, found.text)]
    return same, pick(rng, (f"Locate the {phrase}.", f"Where is the {phrase}?")), phrase


FIGURE_TASKS: dict[Callable, float] = {
    chart_table: 4, chart_code: 4, chart_value: 4, chart_extreme: 1, chart_facts: 1.5, wire_html: 5, find_widget: 3,
}  # fmt: skip
