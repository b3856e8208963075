"""Zoom questions: the conversation that the evaluation leads, with a model that answers truly, falsely, or without end."""

from types import SimpleNamespace

import pytest

from cookbook_utils.agents.schemas import write_call
from cookbook_utils.tiny import figures_zoom as zooming
from cookbook_utils.tiny import zoom, zoom_tasks


@pytest.fixture
def run():
    return zooming.questions(6)


class Model:
    """Answers by `answer(case, number of crops so far)`; it knows the case by its picture and question."""

    def __init__(self, cases, answer):
        self.cases, self.answer, self.asked = cases, answer, []

    def chat_batch(self, list_of_messages, *, tools, **options):
        self.asked.append((len(list_of_messages), tools))
        return [SimpleNamespace(text=self.reply(messages)) for messages in list_of_messages]

    def reply(self, messages):
        picture, question = messages[0]["content"]
        crops = [message["content"][0]["image"] for message in messages if message["role"] == "tool"]
        [case] = [c for c in self.cases if c.content[0]["image"] is picture["image"] and c.turn.prompt == question["text"]]
        return self.answer(case, len(crops))


def truly(case, crops):
    """The true call while the detail is too small, then the detail."""
    sight = zoom_tasks.Sight(case.world, (0, 0, *case.world.size))
    number = next(n for n in sight.details if sight.arguments(n) == case.turn.expect["call"])
    for _ in range(crops):
        sight = sight.closer(sight.arguments(number)["bbox_2d"])
    return case.turn.expect["answer"] if sight.legible(number) else write_call(zoom.TOOL, sight.arguments(number))


def test_true_calls_lead_to_the_answer(run):
    cases = run["with_tool"]
    model = Model(cases, truly)
    zooming.ask_with_tool(model, cases)
    assert set(zooming.answers(cases).values()) == {1.0} and {case.zooms for case in cases} == {1, 2}
    assert [count for count, _ in model.asked] == [6, 6, 2] and all(tools == zoom.TOOLS for _, tools in model.asked)


@pytest.mark.parametrize(("answer", "calls", "reason"), [
    (lambda case, crops: "?", 0, "no call"),
    (lambda case, crops: write_call(zoom.TOOL, {"bbox_2d": [0, 0, 500, 500], "img_idx": crops}), zooming.MOST_CALLS, "calls without end"),
    (lambda case, crops: write_call(zoom.TOOL, {"bbox_2d": [0, 0, 500, 500], "img_idx": 9}), 0, "a picture that is not there"),
    (lambda case, crops: write_call("key", {"keys": ["a"]}), 0, "another tool"),
])  # fmt: skip
def test_what_leads_nowhere_ends(run, answer, calls, reason):
    cases = run["with_tool"]
    zooming.ask_with_tool(Model(cases, answer), cases)
    assert {len(case.rounds) for case in cases} == {calls}, reason
    assert zooming.answers(cases)["right"] == 0


def test_without_the_tool_nothing_is_declared_and_no_call_is_carried_out(run):
    cases = run["without_tool"]
    model = Model(cases, truly)
    zooming.ask_with_tool(model, cases)
    assert model.asked == [(6, [])] and zooming.guesses(cases)["right"] == 0
    for case in cases:
        case.reply = case.turn.expect["answer"]
    assert set(zooming.guesses(cases).values()) == {1.0}


def test_what_is_seen_at_once_gets_full_marks_for_true_answers(run):
    for name, cases in run.items():
        for case in cases:
            case.reply = case.turn.expect["answer"] if "call" in case.turn.expect else case.turn.answer
    found = zooming.MEASURE.figures(run)
    assert {found[f"{name}: exact"] for name in ("missing", "whether", "things")} == {1.0}
    assert found["zoom answers with the tool"] == 1 and found["with_tool: first call: mean IoU"] == 0
