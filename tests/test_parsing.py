"""Replies as models give them, whole, broken and cut off: what is read, what is lost, and what is said about it."""

import copy
import json
import math
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cookbook_utils import coordinates, parsing
from cookbook_utils.parsing import (
    Parsed, ParsedDict, ReplyError, extract_code, parse_boxes, parse_boxes_3d, parse_events, parse_json, parse_points,
    parse_tool_calls, split_thinking,
)  # fmt: skip

LIST_READERS = [parse_boxes, parse_points, parse_boxes_3d, parse_events, parse_tool_calls]

CAT, DOG = {"bbox_2d": [10, 20, 30, 40], "label": "cat"}, {"bbox_2d": [50, 60, 70, 80], "label": "dog"}
A, B = json.dumps(CAT), json.dumps(DOG)


# --- boxes: nothing is lost -----------------------------------------------------------------------------------------


def box(label, *corners, **others):
    return {"bbox_2d": list(corners or CAT["bbox_2d"]), "label": label, **others}


WHOLE = [
    (f"[{A}, {B}]", [CAT, DOG], "a bare list"),
    (f"```json\n[\n\t{A},\n\t{B}\n]\n```", [CAT, DOG], "a fenced list"),
    (f"Here they are:\n```json\n[{A}]\n```\nIn [1] and {B} too.", [CAT, DOG], "prose around and brackets in it"),
    (A, [CAT], "a single object"),
    (f"{A}\n{B}", [CAT, DOG], "one object per line"),
    (f"{A},\n{B},", [CAT, DOG], "one per line, with commas and no list"),
    (f"```json\n[{A}]\n```\nand\n```json\n[{B}]\n```", [CAT, DOG], "several fenced blocks"),
    (f"```json\n[{A}, {B}]", [CAT, DOG], "a fence that is not closed"),
    (f"[{A}, {A}]", [CAT, CAT], "repeated objects are kept"),
    (f'{{"objects": [{A}, {B}]}}', [CAT, DOG], "a list inside an object"),
    (f"I see {A}, I think</think>\n[{B}]", [DOG], "text before </think> without an opening tag is not read"),
    (f"<think>{A}</think>[{B}]", [DOG], "a thought with both tags"),
    ('[{"bbox_2d": [1, 2, 3, 4], "name_en": "Ada"}]', [{"bbox_2d": [1, 2, 3, 4], "name_en": "Ada"}], "no label: none made up"),
    (
        '[{"bbox_2d": [1, 2, 3, 4], "names": {"en": "hen", "zh": "母鸡"}}]',
        [{"bbox_2d": [1, 2, 3, 4], "names": {"en": "hen", "zh": "母鸡"}}],
        "nested names stay as they are",
    ),
    ('{"label": "cat", "bbox_2d": [10, 20, 30, 40], "img_idx": 0}', [box("cat", img_idx=0)], "zoom arguments"),
    (f'{{"name": "zoom", "arguments": {A}}}', [CAT], "zoom arguments inside their call"),
    ('[{"bbox": [10, 20, 30, 40], "label": "cat"}]', [CAT], "another name of the key"),
    (f"[{A}}}, {B}]", [CAT, DOG], "a stray closing brace"),
    (f"[{A}], {B}]", [CAT, DOG], "a stray closing bracket between objects"),
    ('{"bbox_2d": [10, 20, 30, 40]], "label": "cat"}', [CAT], "a stray closing bracket between members"),
    (f'[{{"bbox_2d": [10, 20, 30, 40]], "label": "cat"}}, {B}]', [CAT, DOG], "the same inside a list"),
    (f"{{{A}, {B}}}", [CAT, DOG], "a stray opening brace"),
    (f"{{[{A}, {B}]}}", [CAT, DOG], "a list in braces"),
    (f"[{A[:-1]}, {B}]", [CAT, DOG], "a missing closing brace before the next object"),
    (f"[{A}, {B[:-1]}]", [CAT, DOG], "a missing closing brace before the list's end"),
    (f"[{A} {B}]", [CAT, DOG], "a missing comma between objects"),
    (f"[{A}, {B},]", [CAT, DOG], "a comma too many"),
    ('{"bbox_2d": [10, 20, 30, 40] "label": "cat"}', [CAT], "a missing comma between members"),
    ("[{'bbox_2d': [10, 20, 30, 40], 'label': 'cat\\'s', 'seen': True}]", [box("cat's", seen=True)], "as Python writes it"),
    ('{"bbox_2d": [10, 20, 30, 40], "label": "“开业”的牌子"}', [box("“开业”的牌子")], "Chinese quotation marks"),
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "写着"开业"的牌子"}]', [box('写着"开业"的牌子')], "bare quotes inside"),
    ('{"label": "写着"开业", 的"牌子"", "bbox_2d": [10, 20, 30, 40]}', [box('写着"开业", 的"牌子"')], "with a comma behind"),
    ('{"bbox_2d": [10, 20, 30, 40], "label": "a\nb"}', [box("a\nb")], "a line break inside a string"),
    ('[{"bbox_2d": [30, 40, 10, 20], "label": "cat"}]', [box("cat", 30, 40, 10, 20)], "inverted corners stay"),
    ('[{"bbox_2d": [-5, 0, 1200.5, 40], "label": "cat"}]', [box("cat", -5, 0, 1200.5, 40)], "outside the grid stays"),
    (
        "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>"
        "<|box_start|>(50, 60), (70, 80)<|box_end|>",
        [CAT, box("cat", 50, 60, 70, 80)],
        "Qwen2-VL's tokens: one reference, two boxes",
    ),
    ("<|box_start|>(10,20),(30,40)<|box_end|>", [{"bbox_2d": [10, 20, 30, 40]}], "Qwen2-VL's tokens without a reference"),
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "a: b"}]', [box("a: b")], "a colon in a label"),
    ("[]", [], "the model says: nothing"),
    ("```json\n[]\n```", [], "nothing, fenced"),
    ('There is none: {"objects": []}', [], "nothing, in an object"),
]


@pytest.mark.parametrize(("reply", "expected", "reason"), WHOLE, ids=[row[-1] for row in WHOLE])
def test_boxes_that_are_all_there(reply, expected, reason):
    parsed = parse_boxes(reply, strict=True)
    assert parsed == expected
    assert (parsed.dropped, parsed.truncated) == ([], False)
    assert type(parsed) is Parsed and all(type(item) is dict for item in parsed)


# --- boxes: one is lost, and only that one --------------------------------------------------------------------------

LOSSES = [
    (f'[{A}, {{"bbox_2d": [555, 575, 80', "[555, 575, 80", True, "cut inside a number"),
    (f'[{A}, {{"bbox_2d": [555, 575, 80, 90', "[555, 575, 80, 90", True, "cut, perhaps inside the fourth number"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4]', "[1, 2, 3, 4]", True, "the box is whole, its object is not"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4], "label": "ca', '"ca', True, "cut inside a label"),
    (f'{{"objects": [{A}, {{"bbox_2d": [1', "[1", True, "cut inside a list inside an object"),
    (f'[{A}, {{"names": {{"en": "x"}}, "bbox_2d": [1, 2', "[1, 2", True, "cut behind a nested object"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4], "names": {{"en": "x', '"x', True, "cut inside a nested object"),
    (f'```json\n[{A}, {{"bbox_2d": [1, 2, 3, 4]\n```', "[1, 2, 3, 4]", True, "a fence does not close an object"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3], "label": "x"}}]', "[1, 2, 3]", False, "three numbers"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4, 5]}}]', "[1, 2, 3, 4, 5]", False, "five numbers"),
    (f'[{A}, {{"bbox_2d": "1, 2, 3, 4"}}]', "'1, 2, 3, 4'", False, "text instead of numbers"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, "4"]}}]', "'4'", False, "text among numbers"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, true]}}]', "True", False, "true is no number"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, NaN]}}]', "nan", False, "NaN"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, -Infinity]}}]', "-inf", False, "infinity"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 1e999]}}]', "inf", False, "a float that overflows"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, {"9" * 400}]}}]', "999", False, "an integer that no float holds"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, {"9" * 5000}]}}]', "999", False, "more digits than Python converts"),
    (f'[{A}, {{"bbox_2d": [1, 2,, 4], "label": "x"}}]', "[1, 2,, 4]", False, "a gap between two commas"),
    (f'[{A}, {{"bbox_2d": [1 2 3 4]}}]', "[1 2 3 4]", False, "no commas: 1 2 may be 12"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4, "label": "x"}}]', '"x"', False, "a list without its bracket"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4], "label": }}]', '"label": }', False, "no value"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4], "label": x}}]', "x", False, "a bare word"),
    (f'[{A}, {{bbox_2d: [1, 2, 3, 4], label: x}}]', "bbox_2d", False, "bare keys"),
    (f'[{A}, {{"label": "x"}}]', "'x'", False, "an object without a box"),
    (f'[{{"bbox_2d": [1, 2, 3, 4], "label": "x}}, {A}]', '"x', False, "a quote that never closes, before another object"),
    (f'[{{"label": "x, "bbox_2d": [1, 2, 3, 4]}}, {A}]', '"x', False, "a quote that never closes, before another key"),
    (f'[{A}, {{"bbox_2d": [1, 2, 3, 4], "names": {{"en": }}}}]', '"en"', False, "something inside is broken"),
    (f'{{"bbox_2d": [10, 20, 30, 40], "bbox_2d": [1, 2, 3, 4], "label": "cat"}}', "[1, 2, 3, 4]", False, "a second box"),
    ('{"bbox_2d": [10, 20, 30, 40], "label": "cat", "label": "dog"}', "'dog'", False, "a second label"),
    (f'[{A[:-1]}, "label": "dog"}},', "'dog'", True, "a second label, then cut"),
    (f'[{A[:-1]}, "label": "dog"}}, {{"x": ]', "'dog'", False, "a second label where the rest is broken"),
    (
        "<|object_ref_start|>cat<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>"
        "<|object_ref_start|>dog<|object_ref_end|><|box_start|>(50,60),(7",
        "50,60,7",
        True,
        "Qwen2-VL's tokens, cut",
    ),
    ("<|object_ref_start|>cat<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|><|box_start|>(1,2)<|box_end|>",
     "[1, 2]", False, "Qwen2-VL's tokens with one corner"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "named", "truncated", "reason"), LOSSES, ids=[row[-1] for row in LOSSES])
def test_one_bad_box_is_lost_and_named(reply, named, truncated, reason):
    parsed = parse_boxes(reply)
    assert [{"bbox_2d": item["bbox_2d"], "label": item["label"]} for item in parsed] == [CAT]
    assert named in parsed.dropped[0]
    assert len(parsed.dropped) == 1 or "where the rest is broken" in reason
    assert parsed.truncated is truncated


UNREADABLE = [
    ("", "an empty reply"),
    ("I cannot see any cats.", "prose"),
    ("Sorry [no cats] here", "brackets in prose"),
    ("[10, 20, 30, 40]", "numbers that nothing calls a box"),
    ('["cat"]', "a list of names"),
    ('{"label": "cat"}', "an object without a box"),
    ("[", "cut at the start"),
    ('[{"bbox_2d": [555, 575, 80', "cut inside the first item"),
    (f"<think>{A}", "cut while thinking"),
    ("<|object_ref_start|>cat", "cut inside a reference"),
    ('"', "a lone quote"),
]


@pytest.mark.parametrize(("reply", "reason"), UNREADABLE, ids=[row[-1] for row in UNREADABLE])
def test_unreadable_is_not_nothing(reply, reason):
    parsed = parse_boxes(reply)
    assert parsed == [] and len(parsed.dropped) == 1
    with pytest.raises(ReplyError) as caught:
        parse_boxes(reply, strict=True)
    assert caught.value.text == reply and caught.value.dropped == parsed.dropped
    assert isinstance(caught.value, ValueError) and parsed.dropped[0] in str(caught.value)


@pytest.mark.parametrize("read", [parse_points, parse_boxes_3d, parse_events])
def test_strict_holds_for_all_readers_of_items(read):
    assert read("[]", strict=True) == []
    with pytest.raises(ReplyError):
        read("nothing to see", strict=True)


def test_a_cut_without_a_known_loss_is_still_told():
    parsed = parse_boxes(f"[{A},")
    assert (parsed, parsed.truncated) == ([CAT], True)


def test_an_object_inside_another_is_an_item_before_it():
    assert parse_boxes(f'{{"bbox_2d": [1, 2, 3, 4], "parts": [{A}]}}') == [CAT, {"bbox_2d": [1, 2, 3, 4], "parts": [CAT]}]


# --- pixels ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-50, 1050) | st.integers(-50, 1050), min_size=4, max_size=4),
       st.tuples(st.integers(1, 5000), st.integers(1, 5000)), st.sampled_from([999, 1000]))  # fmt: skip
def test_pixels_are_those_of_to_pixels(corners, size, grid):
    (item,) = parse_boxes(json.dumps({"bbox_2d": corners, "point_2d": corners[:2], "n": 1}), size, grid=grid)
    expected = coordinates.to_pixels(corners, size, grid).tolist()
    assert item == {"bbox_2d": expected, "point_2d": expected[:2], "n": 1}
    assert all(type(value) is float for value in item["bbox_2d"])


@pytest.mark.parametrize("read", [parse_boxes, parse_points])
@pytest.mark.parametrize(
    ("options", "named"),
    [({"size": size}, "size") for size in (5, "ab", (1,), (1, 2, 3), (0, 5), (-1, 5), (math.nan, 5), (math.inf, 5), ("1", 2))]
    + [({"grid": grid}, "grid") for grid in (0, -1, None, "1000", math.nan, math.inf)],
)
def test_bad_options_are_named(read, options, named):
    with pytest.raises(ValueError, match=rf"^{named} must"):
        read("[]", **options)


@pytest.mark.parametrize("read", [*LIST_READERS, split_thinking, extract_code, parse_json])
@pytest.mark.parametrize("text", [None, b"[]", ["[]"], 5])
def test_text_must_be_text(read, text):
    with pytest.raises(TypeError, match=rf"^text must be a str.*{type(text).__name__}"):
        read(text)


# --- points and 3D boxes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "expected", "reason"),
    [
        ('[{"point_2d": [1, 2], "label": "door"}]', [{"point_2d": [1, 2], "label": "door"}], "as Qwen3-VL writes it"),
        ('{"point": [1, 2], "label": "door"}', [{"point_2d": [1, 2], "label": "door"}], "a shorter key"),
        ('{"action": "click", "coordinate": [1, 2]}', [{"action": "click", "point_2d": [1, 2]}], "an agent's key"),
        ('[{"point_2d": [1, 2]}, {"point_2d": [1, 2, 3]}]', [{"point_2d": [1, 2]}], "three numbers"),
        ('[{"point_2d": [1, 2]}, {"point_2d": [1, 2]', [{"point_2d": [1, 2]}], "cut"),
    ],
)
def test_points(reply, expected, reason):
    assert parse_points(reply) == expected


SOFA = {"bbox_3d": [0.1, -0.2, 4, 2, 1, 1, 0, 0.5, 0], "label": "sofa"}


@pytest.mark.parametrize("broken", ['{"bbox_3d": [1, 2, 3]}', '{"bbox_3d": [1, 2, 3, 4, 5, 6, 7, 8, NaN]}', '{"bbox_3d": [1, 2'])
def test_boxes_3d(broken):
    parsed = parse_boxes_3d(f"```json\n[{json.dumps(SOFA)}, {broken}")
    assert parsed == [SOFA] and len(parsed.dropped) == 1


# --- events ---------------------------------------------------------------------------------------------------------


def event(start, end, description="", **others):
    return {"start": start, "end": end, "description": description, **others}


EVENTS = [
    ('{"00:23.00 - 00:48.00": "a", "01:00.50 - 01:02.00": "b"}', [event(23, 48, "a"), event(60.5, 62, "b")], "ranges as keys"),
    ('{"00:23.00-00:48.00": {"event": "a", "id": 7}}', [event(23, 48, "a", id=7)], "a range and an object"),
    ('[{"start": 1, "end": 2.5, "description": "a"}]', [event(1, 2.5, "a")], "seconds"),
    ('[{"start_time": "01:02:03.25", "end_time": "1:02:04", "caption": "a"}]', [event(3723.25, 3724, "a")], "hours"),
    ('[{"start": "12.5s", "end": "14 seconds", "event": "a"}]', [event(12.5, 14, "a")], "units"),
    ('[{"time": "00:01 to 00:02", "event": "a"}]', [event(1, 2, "a")], "a range in a key of its own"),
    ('[{"timestamp": [3, 4], "event": "a"}]', [event(3, 4, "a")], "a range as a list"),
    ('[{"time": "00:07", "event": "a"}]', [event(7, 7, "a")], "a moment"),
    ('[{"time": "<3.5 seconds>", "event": "a"}]', [event(3.5, 3.5, "a")], "the video's own timestamps"),
    ('[{"start": 1, "end": 2}]', [event(1, 2)], "no description is made up"),
    ('[{"start": 1, "end": 2, "label": "a", "score": 0.5}]', [event(1, 2, "a", score=0.5)], "other keys stay"),
    ('{"00:01 - 00:02": "他说"你好"吧", "00:03 - 00:04": "b"}', [event(1, 2, '他说"你好"吧'), event(3, 4, "b")], "bare quotes"),
    ("[]", [], "no events"),
]


@pytest.mark.parametrize(("reply", "expected", "reason"), EVENTS, ids=[row[-1] for row in EVENTS])
def test_events(reply, expected, reason):
    parsed = parse_events(reply, strict=True)
    assert parsed == expected and parsed.dropped == []
    assert all(type(e["start"]) is type(e["end"]) is float for e in parsed)


LOST_EVENTS = [
    ('{"00:01 - 00:02": "a", "00:03 - 00:0', True, "cut inside the second key"),
    ('{"00:01 - 00:02": "a", "00:03 - 00:04": "b', True, "cut inside the second text"),
    ('{"00:01 - 00:02": "a", "00:03 - 00:04": {"event": "b"', True, "cut inside the second object"),
    ('[{"00:01 - 00:02": "a", "00:03 - 00:04": "b', True, "cut inside the second text, in a list"),
    ('{"00:01 - 00:02": "a", "00:03 - 00:04": }', False, "no text"),
    ('[{"start": 1, "end": 2, "event": "a"}, {"start": "soon", "end": 3}]', False, "no time"),
    ('[{"start": 1, "end": 2, "event": "a"}, {"start": 5}]', False, "no end"),
    ('[{"start": 1, "end": 2, "event": "a"}, {"start": -1, "end": 2}]', False, "before the video"),
    ('[{"start": 1, "end": 2, "event": "a"}, {"start": 5, "end": 6', True, "cut behind a number"),
    ('[{"start": 1, "end": 2, "event": "a"}, {"event": "b"}]', False, "no times at all"),
]


@pytest.mark.parametrize(("reply", "truncated", "reason"), LOST_EVENTS, ids=[row[-1] for row in LOST_EVENTS])
def test_one_bad_event_is_lost(reply, truncated, reason):
    parsed = parse_events(reply)
    assert parsed == [event(1, 2, "a")]
    assert len(parsed.dropped) == 1 and parsed.truncated is truncated


# --- tool calls -----------------------------------------------------------------------------------------------------

CLICK = {"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [5, 6]}}
KEY = {"name": "computer_use", "arguments": {"action": "key", "keys": ["enter"]}}
C, K = json.dumps(CLICK), json.dumps(KEY)

CALLS = [
    (f"<tool_call>\n{C}\n</tool_call>", [CLICK], "as the template has it"),
    (f"I click.\n<tool_call>{C}</tool_call>\nThen I {{wait}} and see.", [CLICK], "text around"),
    (f"<tool_call>{C}</tool_call><tool_call>{K}</tool_call>", [CLICK, KEY], "two calls"),
    (f"<tool_call>\n{C}", [CLICK], "no closing tag"),
    (f"<tool_call>\n{C}\n<tool_call>\n{K}", [CLICK, KEY], "two without closing tags"),
    (C, [CLICK], "bare JSON"),
    (f"```json\n{C}\n```", [CLICK], "fenced JSON"),
    (f"Let me see</think><tool_call>{C}</tool_call>", [CLICK], "after a thought"),
    (f"<tool_call>{C}</tool_call></think><tool_call>{K}</tool_call>", [KEY], "a call that was only thought of"),
    (json.dumps({"name": "f", "arguments": json.dumps({"a": 1})}), [{"name": "f", "arguments": {"a": 1}}], "arguments as text"),
    (json.dumps({"function": CLICK, "id": "1"}), [CLICK], "inside OpenAI's object"),
    (json.dumps({"name": "f", "arguments": CLICK}), [{"name": "f", "arguments": CLICK}], "a call as an argument is not called"),
    (f'{{"name": "f", "arguments": {{}}, "id": "x"}} {json.dumps({"total": 5})}', [{"name": "f", "arguments": {}}], "other JSON"),
    ("The answer is 5.", [], "no call"),
    ('{"total": 5}', [], "JSON that is no call"),
]


@pytest.mark.parametrize(("reply", "expected", "reason"), CALLS, ids=[row[-1] for row in CALLS])
def test_tool_calls(reply, expected, reason):
    parsed = parse_tool_calls(reply)
    assert parsed == expected
    assert (parsed.dropped, parsed.truncated) == ([], False)


@pytest.mark.parametrize(
    ("broken", "truncated", "reason"),
    [
        ("<tool_call>click it</tool_call>", False, "no JSON"),
        ('<tool_call>{"name": "f"}</tool_call>', False, "no arguments"),
        ('<tool_call>{"name": "f", "arguments": "a=1"}</tool_call>', False, "arguments that are no JSON"),
        ('<tool_call>{"name": 5, "arguments": {}}</tool_call>', False, "a name that is no text"),
        ('<tool_call>{"name": "f", "arguments": {"x": [1, 2}}</tool_call>', False, "arguments that are broken"),
        ('<tool_call>{"name": "f", "arguments": {"x": 1', True, "cut"),
    ],
)
def test_one_bad_call_is_lost(broken, truncated, reason):
    parsed = parse_tool_calls(f"<tool_call>{C}</tool_call>{broken}")
    assert parsed == [CLICK] and len(parsed.dropped) == 1 and parsed.truncated is truncated


# --- thoughts, code, JSON -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "expected", "reason"),
    [
        ("<think>\nhm\n</think>\n\nyes", ("hm", "yes"), "both tags"),
        ("hm</think>yes", ("hm", "yes"), "no opening tag"),
        ("yes", ("", "yes"), "no thought"),
        ("<think>hm", ("hm", ""), "cut while thinking"),
        ("a</think>b</think>c", ("a</think>b", "c"), "the last tag ends the thought, as in the chat template"),
        ("use <think> tags", ("", "use <think> tags"), "a tag in the middle opens nothing"),
        ("", ("", ""), "nothing"),
    ],
)
def test_split_thinking(reply, expected, reason):
    assert split_thinking(reply) == expected


@pytest.mark.parametrize(
    ("reply", "language", "expected", "reason"),
    [
        ("```python\nprint(1)\n```", None, "print(1)", "one block"),
        ("a\n```html\n<p>\n```\nb\n```python\nx = 1\n```", "Python", "x = 1", "the block that is asked for"),
        ("```\nx = 1\n```", "python", "x = 1", "a block without a mark may be it"),
        ("```html\n<p>\n```", "python", None, "another language"),
        ("```python\nx = 1\n\ny =", "python", "x = 1\n\ny =", "cut: as far as it goes"),
        ("````md\n```python\nx\n```\n````", None, "```python\nx\n```", "a fence inside a longer one"),
        ("```python\n  x = '```'\n```", None, "  x = '```'", "indentation stays, a fence in a line closes nothing"),
        ("```python\r\nx = 1\r\n```\r\n", "python", "x = 1", "Windows line ends"),
        ("```python\nx\n```</think>```python\ny\n```", None, "y", "not what was thought"),
        ("just `x` in prose", None, None, "no block"),
    ],
)
def test_extract_code(reply, language, expected, reason):
    assert extract_code(reply, language) == expected


@pytest.mark.parametrize(
    ("reply", "expected", "lost", "reason"),
    [
        ('```json\n{"a": [1, {"b": null}]}\n```', {"a": [1, {"b": None}]}, 0, "an object"),
        ("So: [1, 2.5, true]", [1, 2.5, True], 0, "a list"),
        ("3.5", 3.5, 0, "a number"),
        ('"x"', "x", 0, "a string"),
        ("null", None, 0, "null"),
        ("As in [1]: {'a': 'x'}", {"a": "x"}, 1, "the longest of two; the other one is reported"),
        ('{"a": 1, "b": oops, "c": 3}', {"a": 1, "c": 3}, 1, "a bad member goes, alone"),
        ('{"a": 1, "a": 2}', {"a": 1}, 1, "a key twice"),
        ('{"a": "x", "b": 12', {"a": "x"}, 1, "a number that is cut"),
        ('{"a": [1, 2], "b": [3, 4', {"a": [1, 2]}, 1, "a list of numbers that is cut"),
        ('[{"a": 1}, {"a": 2', [{"a": 1}], 1, "an object in a list that is cut"),
        ('{"a": {"b": 1, "c": 2', {"a": {"b": 1}}, 1, "an object in an object that is cut"),
        ("[1, oops, 3]", [1, 3], 1, "a bad element"),
        ('[{"a": 1} {"b": 2}]', [{"a": 1}, {"b": 2}], 0, "a comma missing between objects"),
        ('{"a": "说"好"了"}', {"a": '说"好"了'}, 0, "bare quotes"),
        ('{"a": "x\\qy\\n"}', {"a": "x\\qy\\n"}, 0, "an escape that JSON does not know leaves the string raw"),
    ],
)
def test_parse_json(reply, expected, lost, reason):
    value = parse_json(reply)
    assert value == expected
    assert len(getattr(value, "dropped", [])) == lost
    assert isinstance(value, (Parsed, ParsedDict)) == isinstance(expected, (list, dict))


def test_parse_json_tells_null_from_no_json():
    assert parse_json("null", strict=True) is None
    assert parse_json("no JSON at all") is None
    with pytest.raises(ReplyError):
        parse_json("no JSON at all", strict=True)


def test_what_was_read_can_be_copied_and_pickled():
    for parsed in (parse_boxes(f"[{A}, {{"), parse_json('{"a": 1, "b": 2')):
        for twin in (copy.deepcopy(parsed), pickle.loads(pickle.dumps(parsed))):
            assert (twin, twin.dropped, twin.truncated) == (parsed, parsed.dropped, True)


# --- the file alone -------------------------------------------------------------------------------------------------


def test_the_file_can_be_copied_alone(tmp_path):
    shutil.copy(parsing.__file__, tmp_path / "mine.py")
    code = f"import sys; sys.path.insert(0, '.'); import mine; print(mine.parse_boxes({A!r}), 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == f"{[CAT]} False", run.stderr
    assert "cookbook_utils" not in Path(parsing.__file__).read_text(encoding="utf-8")
