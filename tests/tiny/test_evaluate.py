"""The evaluation's figures: 1 for the true answers, less for each way of being wrong."""

import pytest

from cookbook_utils.tiny import evaluate, tasks


@pytest.fixture(scope="module")
def scenes():
    return evaluate.held_out_scenes(12)


def answered(task, scenes, change=lambda text: text):
    """Cases whose reply is the true answer, changed."""
    cases = evaluate.cases_for(task, scenes)
    for case in cases:
        case.reply = change(case.turn.answer)
    return cases


def test_true_answers_get_full_marks(scenes):
    figures = evaluate.grounding(answered(tasks.locate_all, scenes))
    assert figures.pop("mean IoU") > 0.97 and set(figures.values()) == {1.0}
    assert evaluate.point_hits(answered(tasks.point, scenes)) == 1
    assert evaluate.exact(answered(tasks.count, scenes)) == evaluate.empty(answered(tasks.locate_absent, scenes)) == 1


def test_a_wrong_label_costs_the_label_and_the_point_but_not_the_box(scenes):
    wrong = lambda text: text.replace('"label": "', '"label": "not a ')  # noqa: E731
    figures = evaluate.grounding(answered(tasks.locate_all, scenes, wrong))
    assert figures["right label"] == 0 and figures["recall at IoU 0.5"] == 1
    assert evaluate.point_hits(answered(tasks.point, scenes, wrong)) == 0


def test_a_missed_thing_counts_as_no_overlap(scenes):
    figures = evaluate.grounding(answered(tasks.locate_all, scenes, lambda _: "[]"))
    assert figures["mean IoU"] == figures["recall at IoU 0.5"] == 0


def test_claiming_a_thing_or_writing_prose_is_no_empty_list(scenes):
    for reply in ('[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]', "There is none."):
        assert evaluate.empty(answered(tasks.locate_absent, scenes, lambda _, reply=reply: reply)) == 0


@pytest.mark.parametrize(("reply", "valid"), [("```json\n[]\n```", True), ("[1, 2", False), ("```json\n[1,\n```", False)])
def test_json_is_valid_or_not(reply, valid):
    assert evaluate.is_json(reply) is valid


def test_the_held_out_questions_are_the_same_in_every_process():
    import os
    import subprocess
    import sys

    code = "from cookbook_utils.tiny import evaluate as e, tasks as t; print([c.turn.prompt for n in t.TASKS for c in e.cases_for(n, e.held_out_scenes(3))])"
    runs = [subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}) for seed in "123"]
    assert runs[0] == runs[1] == runs[2]
