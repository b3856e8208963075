"""The evaluation's shared figures and the picture family's: 1 for the true answers, less for each way of being wrong."""

from types import SimpleNamespace

import pytest

from cookbook_utils.tiny import evaluate, failures, figures, tasks
from cookbook_utils.tiny import figures_pictures as pictures


@pytest.fixture(scope="module")
def scenes():
    return pictures.held_out_scenes(12)


def answered(task, scenes, change=lambda text: text):
    """Cases whose reply is the true answer, changed."""
    cases = pictures.cases_for(task, scenes)
    for case in cases:
        case.reply = change(case.turn.answer)
    return cases


class Oracle:
    """A model that gives the true answers, in the place of `chat_batch`; it knows them by their questions."""

    def __init__(self, run: figures.Run):
        self.known = [(case.messages, case.turn.answer) for cases in run.values() for case in cases]

    def chat_batch(self, list_of_messages, **options):
        replies = (next(answer for asked, answer in self.known if asked == messages) for messages in list_of_messages)
        return [SimpleNamespace(text=text) for text in replies]


# --- texts and boxes -------------------------------------------------------------------------


@pytest.mark.parametrize(("given", "truth", "wanted"), [
    ("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ("ab", "ba", 2),
])  # fmt: skip
def test_edits_are_inserted_deleted_and_replaced_characters(given, truth, wanted):
    assert figures.edits(given, truth) == wanted


def test_the_error_rate_is_pooled_over_texts_and_has_no_ceiling():
    assert figures.error_rate([("abc", "abd"), ("x", "xyz")]) == 0.5 and figures.error_rate([("abcabc", "ab")]) == 2


@pytest.mark.parametrize(("given", "truth", "share"), [
    ([], [], 1), ([1], [], 0), ([1, 2], [2, 1], 1), ([1, 1], [1], 0.5), ([1], [1, 2, 3, 4], 0.25),
])  # fmt: skip
def test_how_alike_two_lists_are(given, truth, share):
    assert figures.alike(given, truth) == share


def test_one_point_is_wanted():
    scene = pictures.held_out_scenes(1)
    [case] = answered(tasks.point, scene)
    case.reply = '[{"point_2d": [100, 200], "label": "cat"}]'
    assert figures.only_point(case) == pytest.approx([case.size[0] / 10, case.size[1] / 5])
    case.reply = '[{"point_2d": [1, 2]}, {"point_2d": [3, 4]}]'
    assert figures.only_point(case) is None


# --- pictures --------------------------------------------------------------------------------


def test_true_answers_get_full_marks(scenes):
    found = pictures.grounding(answered(tasks.locate_all, scenes))
    assert found.pop("mean IoU") > 0.97 and set(found.values()) == {1.0}
    assert pictures.point_hits(answered(tasks.point, scenes)) == 1
    assert figures.exact(answered(tasks.count, scenes)) == figures.empty(answered(tasks.locate_absent, scenes)) == 1


def test_a_wrong_label_costs_the_label_and_the_point_but_not_the_box(scenes):
    wrong = lambda text: text.replace('"label": "', '"label": "not a ')  # noqa: E731
    found = pictures.grounding(answered(tasks.locate_all, scenes, wrong))
    assert found["right label"] == 0 and found["recall at IoU 0.5"] == 1
    assert pictures.point_hits(answered(tasks.point, scenes, wrong)) == 0


def test_a_missed_thing_counts_as_no_overlap(scenes):
    found = pictures.grounding(answered(tasks.locate_all, scenes, lambda _: "[]"))
    assert found["mean IoU"] == found["recall at IoU 0.5"] == 0


def test_boxes_too_many_cost_precision(scenes):
    more = '[{"bbox_2d": [0, 0, 1, 1], "label": "dog"}]'
    found = pictures.grounding(answered(tasks.locate_all, scenes[:1], lambda text: text + more))
    assert found["precision at IoU 0.5"] == 0.5 and found["recall at IoU 0.5"] == 1


def test_claiming_a_thing_or_writing_prose_is_no_empty_list(scenes):
    for reply in ('[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]', "There is none."):
        assert figures.empty(answered(tasks.locate_absent, scenes, lambda _, reply=reply: reply)) == 0


@pytest.mark.parametrize(("reply", "valid"), [("```json\n[]\n```", True), ("[1, 2", False), ("```json\n[1,\n```", False)])
def test_json_is_valid_or_not(reply, valid):
    assert figures.is_json(reply) is valid


# --- the command -----------------------------------------------------------------------------


def test_replies_go_to_their_cases_and_every_target_has_its_figure():
    run = pictures.questions(6)
    for cases in run.values():
        figures.ask_all(Oracle({"": cases}), cases)
    found = pictures.MEASURE.figures(run)
    assert {target.name for target in pictures.MEASURE.targets} <= set(found) and min(found.values()) > 0.97
    shown = evaluate.table(found, pictures.MEASURE)
    assert "| right label | 1.000 | ≥ 0.92 |" in shown and "missed" not in shown
    assert "| right label | 0.910 | ≥ 0.92 (missed) |" in evaluate.table({"right label": 0.91}, pictures.MEASURE)


def test_a_reply_ends_where_it_is_longer_than_every_answer_of_its_task():
    limits = []
    model = SimpleNamespace(chat_batch=lambda asked, **options: limits.append(options.get("max_new_tokens")) or [])
    case = figures.Case(None, tasks.Turn("count", "How many?", "三"), [])
    for most in (None, 512, 10):
        with pytest.raises(ValueError, match="zip"):  # this model gives no replies
            figures.Measure(None, {}, most_tokens=most).put(model, [case])
    assert limits == [None, 3 + 16, 10]


def test_an_error_is_missed_when_it_is_too_large():
    measure = figures.Measure(None, {}, (figures.Target("error", 0.05, ("read",), "error", most=True),))
    assert evaluate.table({"error": 0.04}, measure).endswith("| error | 0.040 | ≤ 0.05 |")
    assert evaluate.table({"error": 0.06}, measure).endswith("| error | 0.060 | ≤ 0.05 (missed) |")


def test_failures_are_drawn_the_worst_first_and_none_for_what_is_right(scenes, tmp_path):
    run = {"count": answered(tasks.count, scenes[:4]), "locate_all": answered(tasks.locate_all, scenes[:4])}
    run["count"][2].reply, run["locate_all"][1].reply = "many", "[]"
    failures.save_failures(run, pictures.MEASURE, tmp_path, most=2)
    assert [path.name for path in sorted(tmp_path.glob("count/*"))] == ["0.00_002.png", "0.00_002.txt"]
    assert "--- reply\nmany\n" in (tmp_path / "count" / "0.00_002.txt").read_text()
    assert len(list(tmp_path.glob("locate_all/*.png"))) == 2 and (tmp_path / "locate_all" / "0.00_001.png").exists()


def test_the_held_out_questions_are_the_same_in_every_process():
    import os
    import subprocess
    import sys

    code = (  # screens are recorded beforehand
        "from cookbook_utils.tiny.evaluate import MEASURES;"
        "runs = [measure.questions(2) for name, measure in MEASURES.items() if name != 'screens'];"
        "print([case.turn.prompt + case.turn.answer for run in runs for cases in run.values() for case in cases])"
    )
    runs = [subprocess.check_output([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}) for seed in "12"]
    assert runs[0] == runs[1]
