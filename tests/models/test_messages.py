"""The message format: what is accepted, what it becomes, and what an error says."""

import base64
import io

import pytest

from cookbook_utils.models.messages import question, read_messages


def user(*parts) -> list[dict]:
    return [{"role": "user", "content": list(parts)}]


def only_part(part, **budget) -> dict:
    return read_messages(user(part), **budget).messages[0]["content"][0]


@pytest.fixture
def url(picture) -> str:
    picture.save(file := io.BytesIO(), "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_qwens_and_openais_picture_parts_mean_the_same(picture, url):
    for part in (
        {"type": "image", "image": picture}, {"image": url}, {"type": "image", "url": url}, {"type": "image_url", "image_url": url},
        {"type": "image_url", "image_url": {"url": url, "detail": "high"}},
    ):  # fmt: skip
        read = only_part(part)
        assert read["type"] == "image" and read["image"].tobytes() == picture.tobytes(), part


def test_a_video_part_is_a_clip(picture):
    read = only_part({"type": "video_url", "video_url": [picture] * 3, "fps": 1})
    assert read["type"] == "video" and read["video"].times_s == [0, 1, 2]


def test_a_parts_own_budget_goes_before_the_calls(picture):
    part = {"type": "image", "image": picture, "max_pixels": 2048}
    assert only_part(part, max_pixels=4096, min_pixels=1024) | {"image": 0} == {
        "type": "image", "image": 0, "min_pixels": 1024, "max_pixels": 2048,
    }  # fmt: skip


def test_a_question_has_pictures_then_video_then_text(picture):
    head, message = question("How many?", [picture, picture], [picture], system="Be brief.", fps=1)
    assert head == {"role": "system", "content": "Be brief."}
    assert [part["type"] for part in message["content"]] == ["image", "image", "video", "text"]
    assert [part["type"] for part in question("?", picture)[0]["content"]] == ["image", "text"]


def test_tool_turns_pass_through():
    call = {"type": "function", "function": {"name": "key", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Press it."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "done", "tool_call_id": "1"},
    ]
    read = read_messages(messages, tools=[{"type": "function"}])
    assert read.messages[1] == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert read.tools == [{"type": "function"}]
    assert messages[1]["content"] is None, "the input is left as it is"


TEXT = {"type": "text", "text": "a"}


@pytest.mark.parametrize(("messages", "error", "words"), [
    ("hello", TypeError, r"messages: expected a list of .*, got str; for a single question see ask"),
    ([], TypeError, "got an empty list"),
    (["hello"], TypeError, r"messages\[0\]: expected a dict"),
    ([{"role": "bot", "content": "a"}], ValueError, r"messages\[0\].role: expected one of system, .*, got 'bot'"),
    ([{"role": "user"}], TypeError, r"messages\[0\].content: expected a text or a list of parts, got NoneType"),
    ([{"role": "user", "content": []}], TypeError, "got an empty list"),
    ([{"role": "user", "content": "a", "image": "b"}], ValueError, r"messages\[0\]: unknown key image; known here: role"),
    (user(TEXT, "b"), TypeError, r"messages\[0\].content\[1\]: expected a dict"),
    (user({"type": "audio"}), ValueError, r"content\[0\].type: expected one of text, image, video, .*, got 'audio'"),
    (user({"type": "text"}), TypeError, r"content\[0\].text: expected a text, got NoneType"),
    (user({"type": "text", "text": "<|image_pad|>"}), ValueError, r"text: contains .*use an image part"),
    (user({"type": "image"}), ValueError, r"expected exactly one of image, image_url, url, path, got none"),
    (user({"type": "image", "image": "a", "url": "b"}), ValueError, "got image, url"),
    (user({"type": "image", "image": "none.png"}), FileNotFoundError, r"messages\[0\].content\[0\].image: no such file"),
    (user({"type": "image", "image": "a", "max_pixel": 5}), ValueError, "unknown key max_pixel; known here: .*max_pixels"),
    (user({"type": "image", "image": "a", "max_pixels": 0}), ValueError, "max_pixels must be a positive whole number"),
    (user({"type": "image", "image": "a", "min_pixels": 9, "max_pixels": 5}), ValueError, "min_pixels is 9, more than max_pixels 5"),
    (user({"type": "video", "video": ["none.png"]}), FileNotFoundError, r"content\[0\].video\[0\]: no such file"),
])
def test_an_error_names_the_place(messages, error, words):
    with pytest.raises(error, match=words):
        read_messages(messages)


@pytest.mark.parametrize(("arguments", "words"), [
    ((["a"],), "prompt: expected a text, got list"),
    (("a", 5), "images: expected a picture .* or a list of pictures, got int"),
    (("a", [None]), r"images\[0\]: expected a path"),
])
def test_a_wrong_question_is_named(arguments, words):
    with pytest.raises(TypeError, match=words):
        question(*arguments)


def test_tools_are_schemas():
    with pytest.raises(TypeError, match="tools: expected a list of JSON schemas"):
        read_messages(user(TEXT), tools="computer_use")
