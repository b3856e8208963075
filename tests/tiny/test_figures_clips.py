"""The figures of clips, and that what a clip is asked with is what the training shows."""

import json

import numpy as np
import pytest

from cookbook_utils.models import load_model
from cookbook_utils.models.messages import read_messages
from cookbook_utils.parsing import parse_boxes, parse_events
from cookbook_utils.tiny import figures_clips as clips
from cookbook_utils.tiny import figures_solids
from cookbook_utils.tiny.packing import ASSISTANT, Packer
from cookbook_utils.tiny.samples import Sample


@pytest.fixture(scope="module")
def run():
    return clips.questions(30)


def replied(cases, change=lambda text: text):
    for case in cases:
        case.reply = change(case.turn.answer)
    return cases


def test_true_answers_get_full_marks(run):
    found = clips.MEASURE.figures({name: replied(cases) for name, cases in run.items()})
    assert {target.name for target in clips.MEASURE.targets} <= set(found)
    assert {value for name, value in found.items() if "error" not in name} == {1.0}
    assert {value for name, value in found.items() if "error" in name} == {0.0} and set(run) == set(clips.SCORES)


def events_changed(change):
    """A change of a reply's events: `change(list of events)`."""
    return lambda text: json.dumps(change([dict(event) for event in parse_events(text)]))


@pytest.mark.parametrize(("change", "figure", "wanted", "reason"), [
    (lambda events: [{**e, "end": 2 * e["end"] - e["start"]} for e in events], "temporal IoU", 0.5, "twice as long"),
    (lambda events: [{**e, "start": e["start"] + 50, "end": e["end"] + 50} for e in events], "temporal IoU", 0, "another time"),
    (lambda events: [{**e, "end": e["start"]} for e in events], "temporal IoU", 0, "moments"),
    (lambda events: [{**e, "description": "?"} for e in events], "temporal IoU", 1, "the times are right"),
    (lambda events: [{**e, "description": "?"} for e in events], "right description", 0, "the words are not"),
    (lambda events: events[::-1], "right description", 1, "another order"),
    (lambda events: events + events, "precision at IoU 0.5", 0.5, "everything twice"),
    (lambda events: [], "recall at IoU 0.5", 0, "nothing"),
])  # fmt: skip
def test_what_wrong_events_cost(run, change, figure, wanted, reason):
    assert clips.events(replied(run["events_json"], events_changed(change)))[figure] == pytest.approx(wanted), reason


@pytest.mark.parametrize(("a", "b", "wanted"), [
    ((0, 2), (1, 3), 1 / 3), ((0, 1), (1, 2), 0), ((0, 4), (1, 2), 0.25), ((1, 1), (1, 1), 0), ((3, 1), (1, 3), 0),
])  # fmt: skip
def test_the_overlap_of_two_spans(a, b, wanted):
    assert clips.span_iou(a, b) == pytest.approx(wanted)


@pytest.mark.parametrize(("reply", "span"), [
    ("2.0 - 4.0 seconds", (2, 4)), ("00:02 - 00:04", (2, 4)), ("2.0 - 4.0 seconds\n", (2, 4)), ("soon", None), ("", None),
    ('say "when"', None),
])  # fmt: skip
def test_a_time_is_read_as_it_may_be_written(reply, span):
    assert clips.time_of(reply) == span


def test_an_unreadable_time_counts_nothing(run):
    assert clips.spans(replied(run["when"], lambda _: "soon")) == {"temporal IoU": 0, "exact": 0}


def test_half_the_story_is_half_the_sentences(run):
    cases = [case for case in run["describe"] if len(clips.sentences(case.turn.answer)) == 2]
    assert cases and clips.told(replied(cases, lambda text: text.split(". ")[0] + ".")) == {"sentences right": 0.5, "exact": 0}
    assert clips.sentences("狗出现。猫消失。") == ["狗出现", "猫消失"]


def test_a_box_counts_at_its_own_time(run):
    cases = [case for case in run["box_at"] if case.turn.expect["boxes"]]
    later = lambda text: json.dumps([{**item, "time": item["time"] + 20} for item in parse_boxes(text)])  # noqa: E731
    assert clips.boxes_at(replied(cases, later))["mean IoU"] == 0
    assert clips.boxes_at(replied(cases, lambda _: "[]"))["recall at IoU 0.5"] == 0
    away = [case for case in run["box_at"] if not case.turn.expect["boxes"]]
    assert not away or clips.boxes_at(replied(away, lambda _: cases[0].turn.answer)) == {"empty list": 0}


@pytest.mark.parametrize("name", ["clips", "walks"])
def test_a_clip_is_asked_as_the_training_shows_it(name):
    """Time stamps, number of frames and their size: token by token what a training row begins with."""
    model = load_model("tiny")
    run = {"clips": clips.questions, "walks": figures_solids.walk_questions}[name](4)
    packer = Packer(model.tokenizer)
    for cases in run.values():
        case = cases[0]
        frames = case.content[0]["video"]
        inputs = model._inputs([read_messages(case.messages)])
        rows, columns = case.size[1] // 32, case.size[0] // 32
        assert inputs["video_grid_thw"].tolist() == [[len(frames) // 2, 2 * rows, 2 * columns]]
        shown = Sample(frames, [case.turn], seconds=[index / 2 for index in range(len(frames))])
        prefix, _, _ = packer.prefix(shown, (rows, columns))
        asked = packer.encode(case.turn.prompt + ASSISTANT)
        assert inputs["input_ids"][0].tolist() == prefix + asked
        pixels = inputs["pixel_values_videos"].reshape(-1, 3, 2, 16, 16)  # patches, the first one of the first two frames
        first = np.stack([np.asarray(frame)[:16, :16] for frame in frames[:2]]) / 127.5 - 1  # (2, 16, 16, 3)
        assert np.abs(pixels[0].numpy() - first.transpose(3, 0, 1, 2)).max() < 0.01
