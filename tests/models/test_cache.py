"""The reply cache: what makes two requests the same, replay, streams, and processes that share a folder."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from faulty_server import NAME, chunk, says, status, streams
from PIL import Image

from cookbook_utils import load_model
from cookbook_utils.models import BatchError, CacheMiss
from cookbook_utils.models.cache import ReplyCache, describe, folder_fingerprint, open_cache
from cookbook_utils.models.media import Media
from cookbook_utils.models.messages import Conversation, read_messages
from cookbook_utils.models.remote import ServerMedia
from cookbook_utils.models.reply import Reply

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def folder(server, monkeypatch, tmp_path):
    """A folder for replies, switched on."""
    monkeypatch.setenv("COOKBOOK_CACHE", str(tmp_path / "replies"))
    return tmp_path / "replies"


@pytest.fixture
def replay(folder, monkeypatch):
    """Switches to replay."""
    return lambda: monkeypatch.setenv("COOKBOOK_CACHE_MODE", "replay")


def entries(folder) -> list[dict]:
    return [entry for path in folder.rglob("*.json") if "reply" in (entry := json.loads(path.read_text()))]


# --- the key --------------------------------------------------------------------------------------------------------


def key(messages=HELLO, media=ServerMedia, model="a", tools=None, **settings) -> str:
    return describe(model, read_messages(messages, tools=tools, media=media), settings).key


def about(**part) -> list[dict]:
    return [{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}]


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 48, 3), dtype=np.uint8))


@pytest.mark.parametrize(("other", "reason"), [
    (lambda: key(model="b"), "another model"), (lambda: key([{"role": "user", "content": "Hullo"}]), "another text"),
    (lambda: key([{"role": "system", "content": "Hello"}]), "another role"), (lambda: key(seed=1), "another setting"),
    (lambda: key(tools=[{"type": "function"}]), "tools"), (lambda: key(about(image=noise(0))), "a picture"),
])
def test_another_request_has_another_key(other, reason):
    assert key() == key() and key() != other(), reason


@pytest.mark.parametrize("media", [ServerMedia, Media])
def test_pictures_and_videos_count_by_what_they_show(media):
    options = {"media": media}
    same = key(about(image=noise(0)), **options)
    assert same == key(about(image=noise(0)), **options) != key(about(image=noise(1)), **options)
    assert same != key(about(image=noise(0), max_pixels=4096), **options)
    film = key(about(video=[noise(0), noise(1)], fps=1), **options)
    assert film == key(about(video=[noise(0), noise(1)], fps=1), **options)
    assert len({film, key(about(video=[noise(0), noise(1)], fps=2), **options), key(about(video=[noise(0), noise(2)], fps=1), **options)}) == 3


def test_a_file_counts_by_its_bytes_wherever_it_lies(tmp_path):
    for name in ("a.png", "b.png"):
        noise(0).save(tmp_path / name)
    assert key(about(image=tmp_path / "a.png")) == key(about(image=str(tmp_path / "b.png")))


def test_time_limits_do_not_count():
    assert key(timeout_s=5, total_timeout_s=6) == key()


# --- keeping and finding --------------------------------------------------------------------------------------------


def test_the_same_request_is_asked_once(server, at, folder, picture):
    model = at("vllm")
    replies = [model.ask("What?", picture, seed=1) for _ in range(2)]
    assert len(server.requests) == 1 and replies[0] == replies[1]
    assert model.ask("What?", picture, seed=2) is not None and len(server.requests) == 2


def test_without_the_setting_nothing_is_kept(server, at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at("vllm").ask("Hello")
    assert list(tmp_path.iterdir()) == []


def test_an_entry_tells_people_what_it_is_and_no_key(at, folder):
    model = at("dashscope", name="qwen3-vl-plus")
    model.ask("What is this?", noise(0), seed=3)
    (entry,) = entries(folder)
    assert entry["request"] == {
        "model": "dashscope:qwen3-vl-plus", "prompt": "What is this?", "pictures": ["48 x 32"], "settings": {"seed": 3, "stop": []},
    }  # fmt: skip
    assert "sk-test" not in "".join(path.read_text() for path in folder.rglob("*.json"))


def test_another_model_behind_the_same_address_is_asked(server, at, folder):
    at("vllm").ask("Hello")
    server.models = ["newer-model"]
    at("vllm").ask("Hello")
    assert [request["model"] for request in server.requests] == [NAME, "newer-model"]


def test_a_failed_request_is_not_kept(server, at, folder):
    server.script = [status(400, "bad"), says("good")]
    with pytest.raises(RuntimeError):
        at("vllm").ask("Hello")
    assert at("vllm").ask("Hello").text == "good"


def test_a_damaged_entry_is_asked_again(server, at, folder):
    at("vllm").ask("Hello")
    for path in folder.rglob("*.json"):
        path.write_text(path.read_text()[:30])
    assert at("vllm").ask("Hello").text == "hello" and len(server.requests) == 2


def test_a_model_on_this_machine_is_cached_too(model, folder, monkeypatch):
    reply = model.ask("Hello", max_new_tokens=4)
    monkeypatch.setattr(model.network, "generate", None)
    assert model.ask("Hello", max_new_tokens=4) == reply
    assert "".join(model.stream(HELLO, max_new_tokens=4)) == reply.text
    assert entries(folder)[0]["request"]["model"].startswith("tiny:tiny@")


def test_trained_weights_are_another_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    digests = []
    for value in (1, 1, 2):
        (tmp_path / "model.safetensors").write_bytes(bytes([value]) * 3_000_000)
        digests.append(folder_fingerprint(tmp_path))
    assert digests[0] == digests[1] != digests[2]


# --- replay ---------------------------------------------------------------------------------------------------------


def test_replay_needs_neither_server_nor_key(server, at, folder, replay, monkeypatch):
    recorded = at("vllm").ask("Hello")
    asked = at("dashscope", name="qwen3-vl-plus").ask("Hello")
    replay()
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    server.script, server.models = [status(500)], None
    assert load_model(f"vllm:{server.url}").ask("Hello") == recorded
    assert load_model("dashscope:qwen3-vl-plus").ask("Hello") == asked
    assert len(server.requests) == 2


def test_a_miss_in_replay_names_the_request(server, at, folder, replay):
    at("vllm").ask("Hello")
    replay()
    long = "Locate every animal in this picture and report its box in JSON, please, in the order of size"
    with pytest.raises(CacheMiss) as caught:
        at("vllm").ask(long, [noise(0), noise(1)], seed=5)
    assert "no reply in" in str(caught.value) and f"request '{long[:75]}" in str(caught.value)
    assert "with 2 pictures (48 x 32, 48 x 32) to vllm:served-model, settings {'seed': 5}; run it once with" in str(caught.value)
    assert len(server.requests) == 1


def test_a_picture_by_url_is_kept_for_replay(server, at, folder, replay, picture, monkeypatch):
    picture.save(file := io.BytesIO(), "PNG")
    monkeypatch.setenv("no_proxy", "*")
    server.files = {"/a.png": file.getvalue()}
    url = server.url.replace("/v1", "/a.png")
    asked = at("dashscope").ask("What?", url)
    server.files = {}
    replay()
    assert at("dashscope").ask("What?", url) == asked
    with pytest.raises(CacheMiss, match="does not have the picture at http://127"):
        at("dashscope").ask("What?", url.replace("a.png", "b.png"))


def test_an_address_that_was_not_recorded_is_named(at, folder, replay):
    replay()
    with pytest.raises(CacheMiss, match="nothing in .* was recorded from vllm:http://127"):
        at("vllm").ask("Hello")


def test_a_batch_in_replay_names_all_that_is_missing(at, folder, replay):
    model = at("dashscope")
    model.ask("Hello")
    replay()
    with pytest.raises(BatchError, match=r"1 of 2 requests failed: \[1\] COOKBOOK_CACHE_MODE=replay: no reply") as caught:
        model.chat_batch([HELLO, [{"role": "user", "content": "Bye"}]])
    assert caught.value.replies[0].text == "hello"


@pytest.mark.parametrize(("folder_name", "mode", "words"), [("x", "reply", "expected 'replay' or nothing, got 'reply'"), ("", "replay", "needs a folder")])
def test_a_wrong_setting_is_named(monkeypatch, folder_name, mode, words):
    monkeypatch.setenv("COOKBOOK_CACHE", folder_name)
    monkeypatch.setenv("COOKBOOK_CACHE_MODE", mode)
    with pytest.raises(ValueError, match=words):
        open_cache()


# --- streams and batches --------------------------------------------------------------------------------------------


def test_a_stream_is_given_again_in_its_pieces(server, at, folder, replay):
    server.script = [streams(chunk({"reasoning": "hm"}), chunk({"content": "a "}), chunk({"content": "b"}, reason="stop"))]
    first = at("vllm").stream(HELLO)
    pieces = [(piece, piece.thinking) for piece in first]
    replay()
    again = at("vllm").stream(HELLO)
    assert [(piece, piece.thinking) for piece in again] == pieces == [("hm", True), ("a ", False), ("b", False)]
    assert again.reply == first.reply == at("vllm").chat(HELLO)


def test_a_reply_is_streamed_too(server, at, folder):
    server.script = [says("b", reasoning="a")]
    at("vllm").chat(HELLO)
    assert [(piece, piece.thinking) for piece in at("vllm").stream(HELLO)] == [("a", True), ("b", False)]


def test_a_stream_that_was_left_is_not_kept(server, at, folder):
    server.script = [streams(*[chunk({"content": "a"})] * 5, chunk({}, reason="stop"))]
    stream = at("vllm").stream(HELLO)
    next(stream)
    stream.close()
    assert entries(folder) == []


def test_a_batch_asks_only_for_what_is_missing(server, at, folder):
    chats = [[{"role": "user", "content": str(number)}] for number in range(4)]
    model = at("vllm")
    model.chat(chats[2])
    assert len(model.chat_batch(chats)) == 4 and len(server.requests) == 4
    model.chat_batch(chats)
    assert len(server.requests) == 4


WRITER = """
import sys
from pathlib import Path
from cookbook_utils.models.cache import ReplyCache, Request
from cookbook_utils.models.reply import Reply
cache, who = ReplyCache(Path(sys.argv[1])), sys.argv[2]
for number in range(100):
    cache.keep(Request(f"{number % 7:02d}key", {}), Reply(who * 20_000))
    found = cache.find(Request(f"{number % 7:02d}key", {}))
    assert found and set(found[0].text) <= {"a", "b"} and len(set(found[0].text)) == 1, number
"""


def test_processes_share_a_folder(tmp_path, root):
    runs = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), who], cwd=root, stderr=subprocess.PIPE) for who in "ab"]
    assert [run.communicate()[1] for run in runs] == [b"", b""]
    assert len(list(tmp_path.rglob("*.json"))) == 7 and not list(tmp_path.rglob("*.part"))


def test_what_a_cache_keeps_it_finds(tmp_path):
    cache, request = ReplyCache(tmp_path), describe("m", Conversation(HELLO), {})
    reply = Reply("猫", "hm", [{"name": "key", "arguments": {}}], {"prompt_tokens": 3}, 0.5, "length")
    assert cache.find(request) is None
    cache.keep(request, reply)
    assert cache.find(request) == (reply, [])
