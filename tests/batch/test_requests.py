"""The inputs of a batch: folders, files, and lines that are no request."""

import json

import pytest

from cookbook_utils.batch.requests import Request, read_requests


def lines(tmp_path, *entries):
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(entry if isinstance(entry, str) else json.dumps(entry) for entry in entries) + "\n")
    return file


def test_a_folders_pictures_are_found_at_every_depth_in_order(tmp_path):
    for name in ("b.PNG", "sub/a.jpeg", "a.webp", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = read_requests(tmp_path, prompt="What?", system="Be brief.")
    assert [request.id for request in found] == ["a.webp", "b.PNG", "sub/a.jpeg"]
    assert found[2].arguments == {"prompt": "What?", "system": "Be brief.", "images": [str(tmp_path / "sub/a.jpeg")]}


def test_paths_are_from_the_files_own_folder_and_urls_stay(tmp_path):
    messages = [{"role": "user", "content": [{"type": "image", "image": "c.png"}, {"type": "image_url", "image_url": {"url": "http://x/d.png"}}]}]
    file = lines(tmp_path, {"prompt": "?", "image": "a.png"}, {"prompt": "?", "images": ["a.png", "https://x/b.png", "data:image/png;base64,aGk="]},
                 {"prompt": "?", "video": "v.mp4", "fps": 1}, {"custom_id": "last", "messages": messages})  # fmt: skip
    one, several, video, chat = read_requests(file)
    assert one.arguments == {"prompt": "?", "images": [str(tmp_path / "a.png")]}
    assert several.arguments["images"][1:] == ["https://x/b.png", "data:image/png;base64,aGk="]
    assert video.arguments["video"] == str(tmp_path / "v.mp4") and video.arguments["fps"] == 1
    content = chat.arguments["messages"][0]["content"]
    assert content[0]["image"] == str(tmp_path / "c.png") and content[1]["image_url"] == {"url": "http://x/d.png"}
    assert [request.id for request in (one, several, video, chat)] == ["1", "2", "3", "last"]


@pytest.mark.parametrize(("line", "words"), [
    ("{oops", "line 1: Expecting"), ("[1]", "expected an object, got list"), ("{}", "neither prompt nor messages"),
    ('{"prompt": "?", "picture": "a.png"}', "unknown key picture; known: custom_id, fps, id"),
    ('{"messages": [], "system": "x"}', "system beside messages"), ('{"prompt": "?", "images": 5}', "not iterable"),
])  # fmt: skip
def test_a_line_that_is_no_request_says_why(tmp_path, line, words):
    (request,) = read_requests(lines(tmp_path, line))
    assert words in request.error and request.id == "1"


def test_a_prompt_for_all_is_for_those_without_one(tmp_path):
    first, second = read_requests(lines(tmp_path, {"image": "a.png"}, {"image": "a.png", "prompt": "own"}), prompt="all")
    assert (first.arguments["prompt"], second.arguments["prompt"]) == ("all", "own")


def test_an_id_that_stands_twice_hides_nothing(tmp_path):
    found = read_requests(lines(tmp_path, {"id": "a", "prompt": "1"}, {"id": "a", "prompt": "2"}))
    assert [request.id for request in found] == ["a", "a (2)"] and "more than once" in found[1].error and not found[0].error


@pytest.mark.parametrize(("make", "options", "error", "words"), [
    (lambda folder: folder / "none", {}, FileNotFoundError, "source: no such folder or file"),
    (lambda folder: folder, {}, ValueError, "prompt: expected the question"),
    (lambda folder: folder, {"prompt": "?"}, ValueError, r"source: no picture \(.png"),
    (lambda folder: lines(folder, ""), {}, ValueError, "source: no line"),
])  # fmt: skip
def test_nothing_to_ask_is_an_error(tmp_path, make, options, error, words):
    with pytest.raises(error, match=words):
        read_requests(make(tmp_path), **options)


def test_a_request_is_known_by_all_that_changes_its_reply(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"one")
    request = Request("a", {"prompt": "?", "images": [str(picture)]})
    keys = {request.key("m", {}), request.key("other", {}), request.key("m", {"seed": 1}), Request("a", {"prompt": "!"}).key("m", {})}
    assert len(keys) == 4 and request.key("m", {}) in keys
    picture.write_bytes(b"another")
    assert request.key("m", {}) not in keys
