"""The figures of solids and walks: full marks for true answers, and what each way of being wrong costs."""

import json

import numpy as np
import pytest

from cookbook_utils.coordinates import to_grid
from cookbook_utils.parsing import parse_boxes_3d
from cookbook_utils.tiny import figures_solids as solids


@pytest.fixture(scope="module")
def run():
    return solids.questions(12)


def replied(cases, change=lambda text: text):
    for case in cases:
        case.reply = change(case.turn.answer)
    return cases


def boxes_changed(change):
    """A change of a reply's 3D boxes: `change(box)` of each, a list of nine numbers."""

    def of(text):
        return json.dumps([{**item, "bbox_3d": change(list(item["bbox_3d"]))} for item in parse_boxes_3d(text)])

    return of


def test_true_answers_get_full_marks(run):
    found = solids.MEASURE.figures({name: replied(cases) for name, cases in run.items()})
    assert {target.name for target in solids.MEASURE.targets} <= set(found)
    rounded = {name: value for name, value in found.items() if "IoU" in name and "0.5" not in name}
    assert min(rounded.values()) > 0.93, "two decimals of metres and half-turns"
    for name in [name for name in found if "commoner" in name or "mean error" in name]:
        assert 0 <= found.pop(name) < 1
    assert {value for name, value in found.items() if name not in rounded} == {1.0}
    assert {task for task in solids.SCORES} == set(run), "every task is asked"


@pytest.mark.parametrize(("change", "figure", "low", "high", "reason"), [
    (lambda b: [1.09 * v for v in b[:3]] + b[3:], "centre within 10 %", 1, 1, "9 % too far"),
    (lambda b: [1.12 * v for v in b[:3]] + b[3:], "centre within 10 %", 0, 0, "12 % too far"),
    (lambda b: [1.12 * v for v in b[:3]] + b[3:], "projected 2D IoU", 0.6, 0.95, "it still looks nearly the same"),
    (lambda b: b[:3] + [2 * v for v in b[3:6]] + b[6:], "mean 3D IoU", 0.11, 0.14, "eight times the volume"),
    (lambda b: b[:3] + [2 * v for v in b[3:6]] + b[6:], "centre within 10 %", 1, 1, "the centre stays"),
    (lambda b: b[:3] + [-v for v in b[3:6]] + b[6:], "mean 3D IoU", 0, 0, "a negative side is no box"),
    (lambda b: [-b[0], b[1], -b[2], *b[3:]], "projected 2D IoU", 0, 0, "behind the camera"),
])  # fmt: skip
def test_what_a_wrong_box_costs(run, change, figure, low, high, reason):
    value = solids.boxes_3d(replied(run["all_3d"], boxes_changed(change)))[figure]
    assert low - 1e-9 <= value <= high + 1e-9, reason


def test_missed_and_invented_solids(run):
    two = [case for case in run["all_3d"] if len(case.turn.expect["seen"]) == 2]
    one_less = lambda text: json.dumps(parse_boxes_3d(text)[:1])  # noqa: E731
    assert solids.boxes_3d(replied(two, one_less))["centre within 10 %"] == 0.5
    more = lambda text: text + '[{"bbox_3d": [9, 9, 9, 1, 1, 1, 0, 0, 0], "label": "box"}]'  # noqa: E731
    found = solids.boxes_3d(replied(two, more))
    assert found["centre within 10 %"] == 1 and found["precision"] == pytest.approx(2 / 3)
    found = solids.boxes_3d(replied(two, lambda text: text.replace('"label": "', '"label": "no ')))
    assert found["right label"] == 0 and found["centre within 10 %"] == 1
    assert solids.located_3d(replied(run["absent_3d"], lambda _: more("")))["empty list"] == 0


def test_boxes_in_another_order_are_the_same(run):
    found = solids.boxes_3d(replied(run["all_3d"], lambda text: json.dumps(parse_boxes_3d(text)[::-1])))
    assert found["centre within 10 %"] == found["precision"] == found["right label"] == 1


@pytest.mark.parametrize(("factor", "share", "reason"), [(1.0, 1, "true"), (1.2, 0, "a fifth too far"), (0.8, 0, "too near")])
def test_a_distance_counts_within_a_tenth(run, factor, share, reason):
    assert solids.distance(replied(run["distance"], lambda text: f"{float(text) * factor:.2f}"))["within 10 %"] == share, reason
    assert solids.distance(replied(run["distance"], lambda text: f"about {text}")) == {"within 10 %": 0, "mean error": 1}


def test_any_free_spot_will_do_but_no_solid_and_no_wall(run):
    cases = [case for case in run["free_spot"] if case.turn.expect["on"] is None]
    point = lambda case, pixel: json.dumps([{"point_2d": to_grid(pixel, case.size).tolist()}])  # noqa: E731
    for case in cases:
        seen = case.world.seen[0].box_xyxy
        case.reply = point(case, [(seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2])
    assert solids.on_free_spot(cases) == {"on a free spot": 0}
    for case in cases:
        case.reply = point(case, [case.size[0] / 2, 1])
    assert solids.on_free_spot(cases) == {"on a free spot": 0}


def test_a_point_beside_the_handle_misses(run):
    assert solids.in_the_part(replied(run["use"], lambda _: '[{"point_2d": [1, 1]}]')) == {"in the part": 0}


def test_always_no_scores_what_the_table_says(run):
    found = solids.yes_no(replied(run["on_top"], lambda _: "No"))
    assert found["exact"] in (found["commoner answer"], pytest.approx(1 - found["commoner answer"]))


def test_walks_are_clips_of_two_frames_a_second():
    run = solids.walk_questions(3)
    found = solids.WALKS.figures({name: replied(cases) for name, cases in run.items()})
    assert set(run) == set(solids.WALK_TASKS) and {v for name, v in found.items() if "commoner" not in name} == {1.0}
    [shown] = run["walk_first"][0].content
    assert shown["fps"] == 2 and len(shown["video"]) == 8 and np.asarray(shown["video"][0]).shape == (128, 128, 3)
