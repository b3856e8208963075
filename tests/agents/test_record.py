"""A run is kept, drawn, written and read again without loss."""

import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from cookbook_utils.agents import record as records
from cookbook_utils.agents.record import Record, Step, _grown, draw_action
from cookbook_utils.agents.still import Still

WHITE = Image.new("RGB", (300, 200), "white")
INK = (255, 122, 0)


def call(action, **arguments):
    return {"name": "computer_use", "arguments": {"action": action, **arguments}}


@pytest.fixture
def record():
    screens = [Image.effect_noise((300, 200), 20 + index).convert("RGB") for index in range(3)]
    steps = [Step("one", call("left_click", coordinate=[500, 500]), screenshot=screens[0], seconds=0.5),
             Step("二", None, error="no tool call", screenshot=screens[1])]  # fmt: skip
    return Record("Press it", steps=steps, stopped="terminate", status="success", last=screens[2])


def changed(image) -> np.ndarray:
    """Where a drawn white picture is not white any more, (height, width)."""
    return (np.asarray(image) != 255).any(axis=2)


@pytest.mark.parametrize(("action", "box", "reason"), [
    ({"action": "left_click", "coordinate": [500, 500]}, (130, 80, 170, 120), "a ring round the point"),
    ({"action": "swipe", "coordinate": [100, 500], "coordinate2": [900, 500]}, (20, 80, 280, 120), "an arrow from end to end"),
    ({"action": "scroll", "coordinate": [500, 500], "pixels": -100}, (130, 80, 170, 145), "an arrow down"),
    ({"action": "hscroll", "coordinate": [500, 500], "pixels": 100}, (135, 80, 195, 120), "an arrow to the right"),
])  # fmt: skip
def test_an_action_is_drawn_where_it_happens(action, box, reason):
    drawn = draw_action(WHITE, action)
    rows, columns = np.nonzero(changed(drawn))
    assert drawn.size == WHITE.size and not changed(WHITE).any()
    assert box[0] <= columns.min() and columns.max() <= box[2] and box[1] <= rows.min() and rows.max() <= box[3], reason
    assert INK in {tuple(color) for color in np.asarray(drawn)[rows, columns].tolist()}


@pytest.mark.parametrize("action", [
    {"action": "type", "text": "hello 你好"}, {"action": "key", "keys": ["ctrl", "c"]}, {"action": "system_button", "button": "Back"},
    {"action": "answer", "text": "42"}, {"action": "terminate", "status": "success"}, {"action": "wait", "time": 1},
])  # fmt: skip
def test_an_action_without_a_place_is_written_along_the_edge(action):
    rows, _ = np.nonzero(changed(draw_action(WHITE, action)))
    assert rows.min() > 150


def test_a_drag_starts_where_the_pointer_was():
    action = {"action": "left_click_drag", "coordinate": [900, 500]}
    _, columns = np.nonzero(changed(draw_action(WHITE, action, pointer=[100, 500])))
    assert columns.min() < 40 and columns.max() > 260


def test_no_action_leaves_the_picture_as_it_is():
    assert not changed(draw_action(WHITE, {})).any()


def test_the_rim_is_what_a_filter_would_make_of_the_shape():
    shape = Image.effect_noise((40, 30), 90)
    assert _grown(shape, 3).tobytes() == shape.filter(ImageFilter.MaxFilter(7)).tobytes()


def test_the_rim_is_looked_for_around_the_shape_alone(monkeypatch):
    grown = []
    monkeypatch.setattr(records, "_grown", lambda shape, reach: grown.append(shape.size) or _grown(shape, reach))
    draw_action(Image.new("RGB", (1280, 720)), {"action": "left_click", "coordinate": [500, 500]})
    [(width, height)] = grown
    assert width * height < 0.05 * 1280 * 720 * records._FINER**2, "over the whole screen it takes seconds"


def test_a_record_is_read_as_it_was_written(record, tmp_path):
    folder = record.save(tmp_path / "run")
    again = Record.load(folder)
    assert [screen.tobytes() for screen in again.frames()] == [screen.tobytes() for screen in record.frames()]
    for one in (record, again):
        one.last = None
        for step in one.steps:
            step.screenshot = None
    assert again == record
    lines = [json.loads(line) for line in (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line.get("reply") for line in lines] == [None, "one", "二"] and "二" in (folder / "run.jsonl").read_text(
        encoding="utf-8"
    )


def test_a_record_is_shown_as_a_sheet(record):
    sheet = record.contact_sheet(columns=3)
    assert sheet.width > 3 * 300 and sheet.height > 200
    assert record.captions() == ["1. left_click [500, 500]", "2. no valid call (error: no tool call)", "terminate success"]


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_a_record_is_shown_as_a_moving_picture(record, tmp_path, ending):
    with Image.open(record.animation(tmp_path / f"run{ending}", seconds_per_frame=0.5)) as moving:
        assert moving.n_frames == 3 and moving.size == (300, 200)


def test_what_cannot_be_shown_says_why(record, tmp_path):
    with pytest.raises(ValueError, match="ends in .gif or .webp.*got run.mp4"):
        record.animation(tmp_path / "run.mp4")
    with pytest.raises(ValueError, match="expected steps with screenshots, got none"):
        Record("nothing").contact_sheet()
    with pytest.raises(FileNotFoundError):
        Record.load(tmp_path)


def test_samples_are_the_steps_with_those_before_them(record):
    assert [(len(before), step.reply) for before, step in record.samples()] == [(0, "one"), (1, "二")]


@pytest.mark.parametrize(("step", "summary"), [
    (Step(call=call("type", text="a")), 'type "a"'),
    (Step("Thought: x\nAction: Tap OK.", call("left_click", coordinate=[1, 2])), "Tap OK."),
    (Step(call=call("wait", time=1), observation="a new tab"), "wait 1 (a new tab)"),
    (Step(error="not JSON"), "no valid call (error: not JSON)"),
])  # fmt: skip
def test_a_step_in_words(step, summary):
    assert step.summary == summary


def test_a_still_picture_only_draws(tmp_path):
    WHITE.save(tmp_path / "screen.png")
    still = Still(tmp_path / "screen.png", tool="mobile_use")
    assert "nothing else happened" in still.act({"action": "click", "coordinate": [500, 500]})
    assert not changed(still.screenshot()).any() and changed(still.drawn()).any()
    with pytest.raises(ValueError, match="tool must be computer_use or mobile_use, got 'x'"):
        Still(WHITE, tool="x")
