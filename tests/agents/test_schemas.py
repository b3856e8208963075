"""What the model is told, and what becomes of its calls: every action, every argument, every way to get it wrong."""

import json

import pytest

from cookbook_utils.agents.schemas import (
    TOOL_NAMES,
    ToolError,
    describe_call,
    tool_prompt,
    tool_schemas,
    validate_call,
    write_call,
)
from cookbook_utils.parsing import parse_tool_calls

COMPUTER = {
    "key": {"keys": ["ctrl", "c"]}, "type": {"text": "你好"}, "mouse_move": {"coordinate": [0, 1000]},
    "left_click": {"coordinate": [5, 6]}, "left_click_drag": {"coordinate": [5, 6]}, "right_click": {"coordinate": [5, 6]},
    "middle_click": {"coordinate": [5, 6]}, "double_click": {"coordinate": [5, 6]}, "triple_click": {"coordinate": [5, 6]},
    "scroll": {"coordinate": [5, 6], "pixels": -300}, "hscroll": {"coordinate": [5, 6], "pixels": 40}, "wait": {"time": 1.5},
    "terminate": {"status": "failure"}, "answer": {"text": "42"},
}  # fmt: skip
MOBILE = {
    "key": {"text": "volume_up"}, "click": {"coordinate": [5, 6]}, "long_press": {"coordinate": [5, 6], "time": 2},
    "swipe": {"coordinate": [5, 6], "coordinate2": [7, 8]}, "type": {"text": "hello"}, "system_button": {"button": "Back"},
    "open": {"text": "Clock"}, "wait": {"time": 2}, "terminate": {"status": "success"}, "answer": {"text": "42"},
}  # fmt: skip
EVERY = [("computer_use", *item) for item in COMPUTER.items()] + [("mobile_use", *item) for item in MOBILE.items()]


@pytest.mark.parametrize(("tool", "actions"), [("computer_use", COMPUTER), ("mobile_use", MOBILE)])
def test_the_schema_lists_every_action(tool, actions):
    schema = tool_schemas(tool)[0]["function"]["parameters"]
    assert set(schema["properties"]["action"]["enum"]) == set(actions)
    assert set(schema["properties"]) == {"action"} | {key for arguments in actions.values() for key in arguments}


@pytest.mark.parametrize(("tool", "action", "arguments"), EVERY)
def test_a_right_call_comes_back_as_it_was(tool, action, arguments):
    assert validate_call(tool, {**arguments, "action": action}) == {"action": action, **arguments}


@pytest.mark.parametrize(("tool", "action", "arguments"), EVERY)
def test_a_call_can_be_written_and_read(tool, action, arguments):
    call = {"name": tool, "arguments": {"action": action, **arguments}}
    assert parse_tool_calls(write_call(**call)) == [call]
    assert describe_call(**call).startswith(action)


@pytest.mark.parametrize(("arguments", "words", "reason"), [
    ({}, "action must be one of key, type", "no action"),
    ({"action": "tap", "coordinate": [1, 2]}, 'got "tap"', "the other tool's action"),
    ({"action": "left_click_drag"}, "left_click_drag needs coordinate", "missing"),
    ({"action": "left_click", "coordinate": [1001, 5]}, "from 0 to 1000, got 1001", "outside the screen"),
    ({"action": "left_click", "coordinate": [-1, 5]}, "from 0 to 1000, got -1", "outside the screen"),
    ({"action": "left_click", "coordinate": [1, 2, 3, 4]}, "2 numbers", "a box"),
    ({"action": "left_click", "coordinate": "1,2"}, "2 numbers", "text"),
    ({"action": "left_click", "coordinate": [True, 5]}, "number", "a truth value"),
    ({"action": "left_click", "coordinate": ["nan", 5]}, "number", "not a number"),
    ({"action": "type", "text": ""}, "not empty", "nothing to type"),
    ({"action": "type", "text": ["a"]}, "text must be a text", "a list"),
    ({"action": "key", "keys": []}, "keys must be a list", "no key"),
    ({"action": "key", "keys": [5]}, "keys must be a list", "a number"),
    ({"action": "scroll", "pixels": 0, "coordinate": [1, 2]}, "pixels must not be 0", "no way"),
    ({"action": "scroll", "pixels": 1e9}, "pixels must be a number", "too far"),
    ({"action": "wait", "time": 1e9}, "time must be a number from 0 to 60", "for ever"),
    ({"action": "wait", "time": -1}, "time must be", "back in time"),
    ({"action": "terminate", "status": "maybe"}, "success, failure", "no such status"),
    ({"action": "left_click", "element": "ok"}, 'no argument "element"; it has coordinate', "an invented argument"),
    ([1, 2], "arguments must be an object", "a list"),
])  # fmt: skip
def test_a_wrong_call_is_told_what_is_wrong(arguments, words, reason):
    with pytest.raises(ToolError) as error:
        validate_call("computer_use", arguments)
    assert words in str(error.value), reason


@pytest.mark.parametrize(("arguments", "clean", "reason"), [
    ({"action": "key", "keys": "Ctrl+Shift+t"}, {"action": "key", "keys": ["ctrl", "shift", "t"]}, "one text"),
    ({"action": "key", "keys": "+"}, {"action": "key", "keys": ["+"]}, "the key itself"),
    ({"action": "left_click", "coordinate": ["12", 3.0]}, {"action": "left_click", "coordinate": [12, 3]}, "numbers as text"),
    ({"action": "left_click", "text": "ok"}, {"action": "left_click"}, "another action's argument"),
    ({"action": "terminate", "status": "Success"}, {"action": "terminate", "status": "success"}, "capitals"),
    ({"action": "answer", "text": 42}, {"action": "answer", "text": "42"}, "a number as answer"),
])  # fmt: skip
def test_what_can_be_meant_in_one_way_is_put_right(arguments, clean, reason):
    assert validate_call("computer_use", arguments) == clean, reason


@pytest.mark.parametrize(("name", "arguments", "clean"), [
    ("image_zoom_in_tool", {"label": "cat", "bbox_2d": [300, 10, 100, 200], "img_idx": 0},
     {"bbox_2d": [100, 10, 300, 200], "label": "cat", "img_idx": 0}),
    ("image_search", {"img_idx": "1"}, {"img_idx": 1}),
])  # fmt: skip
def test_tools_without_actions(name, arguments, clean):
    assert validate_call(name, arguments) == clean


def test_only_offered_tools_may_be_called():
    with pytest.raises(ToolError, match='no tool "mobile_use"; there is computer_use'):
        validate_call("mobile_use", {"action": "click", "coordinate": [1, 2]}, ["computer_use"])


def test_a_zoom_needs_an_area():
    with pytest.raises(ToolError, match="area"):
        validate_call("image_zoom_in_tool", {"bbox_2d": [5, 5, 5, 90]})


def test_the_prompt_form_is_what_the_chat_template_writes(root):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(root / "assets" / "tiny")
    names, ask = TOOL_NAMES[:2], [{"role": "user", "content": "x"}]
    written = tokenizer.apply_chat_template(ask, tools=tool_schemas(*names), tokenize=False)
    assert f"<|im_start|>system\n{tool_prompt(*names)}<|im_end|>" in written


def test_the_schemas_stay_small_enough_for_a_small_model():
    assert all(len(json.dumps(tool_schemas(name))) < 1000 for name in TOOL_NAMES)


def test_an_unknown_tool_is_an_error_of_ours():
    with pytest.raises(ValueError, match="computer_use"):
        tool_schemas("desktop_use")
