"""The figures of pages, articles and documents: full marks for true answers, and what each way of being wrong costs."""

import json

import pytest

from cookbook_utils.models import load_model
from cookbook_utils.models.messages import read_messages
from cookbook_utils.tiny import figures_documents as documents
from cookbook_utils.tiny import figures_pages as pages


@pytest.fixture(scope="module")
def run():
    return pages.page_questions(24)


@pytest.fixture(scope="module")
def articles():
    return pages.article_questions(3)


@pytest.fixture(scope="module")
def long():
    return documents.questions(4)


def replied(cases, change=lambda text: text):
    for case in cases:
        case.reply = change(case.turn.answer)
    return cases


def of_family(name, run, articles, long):
    return {"pages": (pages.PAGES, run), "articles": (pages.ARTICLES, articles), "documents": (documents.MEASURE, long)}[name]


@pytest.mark.parametrize("name", ["pages", "articles", "documents"])
def test_true_answers_get_full_marks(name, run, articles, long):
    measure, asked = of_family(name, run, articles, long)
    found = measure.figures({task: replied(cases) for task, cases in asked.items()})
    assert {target.name for target in measure.targets} <= set(found)
    assert {value for figure, value in found.items() if "error" not in figure} == {1.0}
    assert {value for figure, value in found.items() if "error" in figure} <= {0.0}
    assert all(target.reached(found[target.name]) for target in measure.targets)


@pytest.mark.parametrize("name", ["pages", "articles", "documents"])
def test_silence_gets_none(name, run, articles, long):
    measure, asked = of_family(name, run, articles, long)
    found = measure.figures({task: replied(cases, lambda _: "") for task, cases in asked.items()})
    without_texts = {"spot_lines: character error rate of those found", "spot_words: character error rate of those found",
                     "find_text: character error rate of those found"}  # fmt: skip
    assert {value for figure, value in found.items() if "error" not in figure} == {0.0}
    assert {value for figure, value in found.items() if "error" in figure and figure not in without_texts} <= {1.0}


def test_every_page_is_asked_at_the_size_that_the_training_shows():
    model = load_model("tiny")
    for cases in (pages.page_questions(4)["page_kind"], pages.article_questions(1)["html"], documents.questions(1)["page_of_heading"]):
        for case in cases:
            inputs = model._inputs([read_messages(case.messages)])
            shown = [(grid[2] * 16, grid[1] * 16) for grid in inputs["image_grid_thw"].tolist()]
            assert shown == [part["image"].size for part in case.content]


def test_every_task_of_pages_is_measured(run, articles):
    assert set(run) | set(articles) == set(pages.SCORES) == {task.__name__ for task in pages.page_tasks.TASKS}


@pytest.mark.parametrize(("change", "wanted", "reason"), [
    (lambda fields: {key: value and value + "0" for key, value in fields.items()}, "nulls", "every value is wrong"),
    (lambda fields: {}, 0, "nothing is said, not even null"),
    (lambda fields: {**fields, "more": "1"}, 1, "a key more does no harm"),
    (lambda fields: {key: value or "" for key, value in fields.items()}, "values", "an empty text is not null"),
])  # fmt: skip
def test_what_wrong_fields_cost(run, change, wanted, reason):
    cases = run["key_info"]
    values = [value for case in cases for value in case.turn.expect["fields"].values()]
    wanted = {"nulls": values.count(None) / len(values), "values": 1 - values.count(None) / len(values)}.get(wanted, wanted)
    for case in cases:
        case.reply = json.dumps(change(case.turn.expect["fields"]))
    assert pages.fields(cases)["exact field"] == pytest.approx(wanted), reason


@pytest.mark.parametrize(("off", "wanted"), [(0.04, 1), (-0.04, 1), (0.06, 0), (-0.06, 0)])
def test_a_value_may_be_off_by_a_twentieth_of_the_axis(run, off, wanted):
    for task, score in (("chart_table", pages.chart_data), ("chart_value", pages.chart_value)):
        for case in run[task]:
            truth = case.turn.expect
            values = [value + off * truth["top"] for value in truth["values"]]
            rows = "".join(f"| {label} | {value:.3f} |\n" for label, value in zip(truth["labels"], values, strict=True))
            case.reply = f"| Label | Value |\n|---|---|\n{rows}" if task == "chart_table" else f"{truth['value'] + off * truth['top']:.3f}"
        assert score(run[task])["values within 5 %"] == wanted


def test_a_value_counts_under_its_own_label_and_values_too_many_cost_precision(run):
    def renamed(text):
        head, rule, *rows = text.split("\n")
        return "\n".join([head, rule, *(row.replace("| ", "| x", 1) for row in rows)])

    assert pages.chart_data(replied(run["chart_table"], renamed))["values within 5 %"] == 0
    found = pages.chart_data(replied(run["chart_table"], lambda text: text + "\n| more | 1 |"))
    assert found["values within 5 %"] == 1 and found["precision"] < 1 and found["whole chart"] == 0


@pytest.mark.parametrize(("reply", "wanted"), [
    ('```python\nimport matplotlib.pyplot as plt\nplt.bar(["a", "b"], [1, 2])\n```', [("a", 1), ("b", 2)]),
    ('plt.pie([30, 70], labels=["a", "b"])', [("a", 30), ("b", 70)]),
    ('plt.pie([30, 70])', []), ('plt.bar(["a"], [1', []), ('plt.bar(names, values)', []), ('plt.bar(["a"], [1, 2])', []), ("no code", []),
])  # fmt: skip
def test_code_is_read_not_run(reply, wanted):
    assert pages.data_of_code(reply) == wanted


def test_a_wrong_digit_costs_the_text_and_not_the_box(run):
    wrong = lambda text: text.replace('"text_content": "', '"text_content": "9')  # noqa: E731
    found = pages.spotted(replied(run["find_text"], wrong))
    assert found["found and read"] == 0 and found["recall at IoU 0.5"] == 1 and found["character error rate of those found"] > 0


def test_an_element_of_another_kind_or_elsewhere_is_not_found(articles):
    cases = articles["html"]
    kinds = pages.page_elements(replied(cases, lambda text: text.replace("<p ", "<h2 ").replace("</p>", "</h2>")))
    assert kinds["element recall at IoU 0.5"] < 1 and kinds["text error"] == 0
    moved = pages.page_elements(replied(cases, lambda text: text.replace('data-bbox="', 'data-bbox="9')))
    assert moved["element recall at IoU 0.5"] == 0 and moved["text error"] == 0
    half = pages.page_elements(replied(cases, lambda text: text[: len(text) // 2]))
    assert 0.2 < half["element recall at IoU 0.5"] < 0.8 and 0.2 < half["text error"] < 0.8
    twice = pages.page_elements(replied(cases, lambda text: text.replace("</html>", "<p>more of it</p></html>")))
    assert twice["element recall at IoU 0.5"] == 1 and twice["element precision"] < 1 and twice["text error"] > 0


def test_another_page_is_not_the_page(long):
    other = lambda text: "none" if text != "none" else "3"  # noqa: E731
    for task in documents.FINDING:
        assert documents.parts(replied(long[task], other))["exact"] == 0
    found = documents.facts(replied(long["fact_of_section"], lambda text: text.replace("(page ", "(page 1")))
    assert found == {"value and page": 0, "value": 1, "page": 0}
    cases = long["pages_of_several"]
    first = documents.each(replied(cases, lambda text: ", ".join(["25", *text.split(", ")[1:]])))
    count = sum(len(case.turn.expect["answers"]) for case in cases)
    assert first == {"exact": 0, "each": pytest.approx(1 - len(cases) / count)}
    assert documents.each(replied(cases, lambda text: text + ", 3"))["each"] == 0


def test_a_document_is_twelve_pictures_of_one_conversation(long):
    for cases in long.values():
        assert [len(case.messages[0]["content"]) for case in cases] == [13] * len(cases)
