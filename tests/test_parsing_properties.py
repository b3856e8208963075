"""What holds for every reply: a prefix yields a prefix, any text yields a list, nothing is invented."""

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cookbook_utils.parsing import (
    Parsed, extract_code, parse_boxes, parse_boxes_3d, parse_events, parse_json, parse_points, parse_tool_calls, split_thinking,
)  # fmt: skip

LIST_READERS = [parse_boxes, parse_points, parse_boxes_3d, parse_events, parse_tool_calls]
BOX = '{"bbox_2d": [10, 20, 30, 40], "label": "cat"}'
CALL = '{"name": "computer_use", "arguments": {"action": "key", "keys": ["enter"]}}'

FEW = settings(max_examples=25)  # each reply is read once for each of its characters
LABELS = st.text(st.sampled_from("ab\"'\\,:;{}[]()“”母 \n😀") | st.characters(), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | LABELS
OTHERS = st.dictionaries(LABELS, SCALARS | st.lists(LABELS, max_size=3) | st.dictionaries(LABELS, SCALARS, max_size=2), max_size=2)
NUMBERS = st.integers(-2000, 2000) | st.floats(-2000, 2000)
STYLES = st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (",", ":")}, {"separators": (" , ", " : ")}])
FRAMES = st.sampled_from(["{}", "```json\n{}\n```", "Here: {}\nDone.", "thought</think>{}", "<think>hm</think>\n{}"])


def items_with(key, count):
    numbers = st.lists(NUMBERS, min_size=count, max_size=count)
    return st.builds(lambda others, values, label: {**others, key: values, "label": label}, OTHERS, numbers, LABELS)


def replies(items):
    """Valid replies with these items: as a list, inside an object, or one after the other."""
    return st.builds(
        lambda parts, style, frame, shape: (frame.format(shape(parts, style)), parts),
        st.lists(items, max_size=4),
        STYLES,
        FRAMES,
        st.sampled_from([
            lambda parts, style: json.dumps(parts, **style),
            lambda parts, style: json.dumps({"a": 1, "objects": parts, "b": []}, **style),
            lambda parts, style: "\n".join(json.dumps(part, **style) for part in parts),
        ]),
    )


def holds_for_prefixes(read, reply, expected):
    for end in range(len(reply) + 1):
        found = read(reply[:end])
        assert found == expected[: len(found)], reply[:end]
    assert read(reply) == expected


@pytest.mark.parametrize(
    ("read", "key", "count"), [(parse_boxes, "bbox_2d", 4), (parse_points, "point_2d", 2), (parse_boxes_3d, "bbox_3d", 9)]
)
def test_a_prefix_of_a_reply_yields_a_prefix_of_its_items(read, key, count):
    @FEW
    @given(replies(items_with(key, count)))
    def check(sample):
        reply, items = sample
        holds_for_prefixes(read, reply, items)

    check()


TIMES = st.tuples(st.integers(0, 59), st.integers(0, 59)).map(lambda t: "{:02d}:{:02d}.50".format(*t))


@FEW
@given(st.dictionaries(st.tuples(TIMES, TIMES).map(" - ".join), LABELS, max_size=4), STYLES)
def test_a_prefix_of_events_as_keys_yields_a_prefix_of_them(members, style):
    def seconds(time):
        return int(time[:2]) * 60 + float(time[3:])

    expected = [
        {"start": seconds(key[:8]), "end": seconds(key[11:]), "description": text} for key, text in members.items()
    ]
    holds_for_prefixes(parse_events, json.dumps(members, **style), expected)


@FEW
@given(st.lists(st.tuples(LABELS, st.dictionaries(LABELS, SCALARS, max_size=3)), min_size=1, max_size=3))
def test_a_prefix_of_tool_calls_yields_a_prefix_of_them(calls):
    calls = [{"name": name, "arguments": arguments} for name, arguments in calls]
    holds_for_prefixes(parse_tool_calls, "".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>\n" for call in calls), calls)


PIECES = st.sampled_from([
    *'{}[]():,"\'\\ \n', BOX, '{"bbox_2d": [', '"label": "', "1", "-", "NaN", "1e999", "9" * 5000, "```json\n", "</think>", "<think>",
    "<|box_start|>(1,2),(3,4)<|box_end|>", "<|object_ref_start|>", "<tool_call>", CALL, '"name"', '"arguments": "{', "\ud800", "\\u",
    '"00:01 - 00:02": "', '"start": ', "null", "“",
])  # fmt: skip


@given(st.text() | st.lists(PIECES, max_size=30).map("".join))
@example("[" * 100_000)
@example('{"a":' * 100_000)
@example('[{"bbox_2d": ' * 20_000)
@example("[" * 100_000 + BOX + "]" * 100_000)
@example("{" * 20_000)
@example('"' * 20_000)
@example("<|box_start|>" * 20_000)
@example('{"a": ' + "[" * 500 + "]" * 500 + ', "a": ' + "[" * 500 + "]" * 500 + ", x}")
def test_any_text_yields_a_list(text):
    for read in LIST_READERS:
        parsed = read(text)
        assert isinstance(parsed, Parsed) and all(isinstance(item, dict) for item in parsed)
        assert all(isinstance(reason, str) and len(reason) < 500 for reason in parsed.dropped)
    for item in parse_boxes(text, (640, 480)):
        assert len(item["bbox_2d"]) == 4 and all(type(value) is float and math.isfinite(value) for value in item["bbox_2d"])
    parse_json(text), split_thinking(text), extract_code(text), extract_code(text, "python")


@given(st.lists(PIECES, max_size=30).map("".join), st.integers(0, 200))
def test_every_box_stands_in_the_text(text, cut):
    """Nothing is invented: the numbers of each item occur in the reply, in their order, between brackets."""
    for item in parse_boxes(text[:cut]):
        numbers = [str(value) for value in item["bbox_2d"]]
        position = 0
        for number in numbers:
            position = text[:cut].index(number, position) + len(number)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LABELS, inner, max_size=3)), STYLES)
def test_parse_json_agrees_with_json(value, style):
    assert parse_json(json.dumps(value, **style)) == value
