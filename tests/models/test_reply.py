"""Replies: thinking split off, tool calls read, settings checked."""

import pytest

from cookbook_utils.models import generation
from cookbook_utils.models.generation import cut_at, pieces_until, read_settings, settings_of
from cookbook_utils.models.reply import Reply


def read(written: str) -> Reply:
    return Reply.read(written, usage={}, seconds=0.0, finish_reason="stop")


@pytest.mark.parametrize(("written", "text", "thinking", "reason"), [
    ("[]", "[]", "", "an instruct model"),
    ("<think>a\nb</think>\n\n[]", "[]", "a\nb", "both tags"),
    ("a</think>[]", "[]", "a", "the template opened the tag"),
    ("<think>a", "", "a", "cut off while thinking"),
    ("", "", "", "nothing"),
])
def test_thinking_is_split_off(written, text, thinking, reason):
    reply = read(written)
    assert (reply.text, reply.thinking, str(reply)) == (text, thinking, text), reason


def test_tool_calls_are_read_from_the_answer_only():
    call = '<tool_call>\n{"name": "key", "arguments": {"keys": ["%s"]}}\n</tool_call>'
    reply = read(f"{call % 'a'}</think>{call % 'b'}")
    assert reply.tool_calls == [{"name": "key", "arguments": {"keys": ["b"]}}]
    assert "<tool_call>" in reply.text


@pytest.mark.parametrize("name", ["Qwen/Qwen3-VL-4B-Thinking", "folder/qwen3-vl-thinking-ft"])
def test_a_thinking_model_is_known_by_its_name(name):
    assert settings_of(name)["max_new_tokens"] == 40960


@pytest.mark.parametrize("settings", [generation.INSTRUCT, generation.THINKING, generation.GREEDY])
def test_the_defaults_pass_their_own_checks(settings):
    assert {**settings, "seed": None, "stop": []} == read_settings(settings, {})


@pytest.mark.parametrize(("given", "error", "words"), [
    ({"max_tokens": 5}, TypeError, "unknown generation setting max_tokens; known: max_new_tokens"),
    ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be a whole number from 1, got 0"),
    ({"max_new_tokens": 1.5}, ValueError, "whole number"),
    ({"max_new_tokens": True}, ValueError, "whole number"),
    ({"temperature": -1}, ValueError, "temperature must be a number from 0"),
    ({"temperature": float("nan")}, ValueError, "temperature"),
    ({"top_p": 0}, ValueError, "top_p must be a number over 0"),
    ({"top_k": -1}, ValueError, "top_k"),
    ({"seed": "a"}, ValueError, "seed"),
    ({"stop": ["a", ""]}, ValueError, "stop must be a text or a list of texts"),
])
def test_a_wrong_setting_is_named(given, error, words):
    with pytest.raises(error, match=words):
        read_settings(given, generation.GREEDY)


def test_none_keeps_the_default():
    assert read_settings({"temperature": None}, generation.INSTRUCT)["temperature"] == 0.7


@pytest.mark.parametrize("size", [1, 2, 3, 20])
@pytest.mark.parametrize(("text", "stops"), [
    ("abc<END>def", ["<END>"]), ("aababc", ["abc"]), ("ends in <EN", ["<END>"]), ("none", []), ("xay", ["y", "a"]), ("<END>", ["<END>"]),
])
def test_a_stop_text_cuts_a_stream_as_it_cuts_a_text(text, stops, size):
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert "".join(pieces_until(pieces, stops)) == cut_at(text, stops)
