"""Everything that a server can do wrong, done by a real server on loopback; pauses go by a clock that only they move."""

import logging
import socket
import time
import traceback

import pytest
from faulty_server import NAME, answers, chunk, completion, late, reset, says, status, streams

from cookbook_utils.models import faults
from cookbook_utils.models.faults import (
    BrokenReply,
    ContentFiltered,
    KeyRefused,
    ModelError,
    RequestRefused,
    ServerBusy,
    ServerFault,
    UnknownModel,
    Unreachable,
)
from cookbook_utils.models.retry import Patience

HELLO = [{"role": "user", "content": "Hello"}]
PIECES = [chunk({"content": "two "}), chunk({"content": "ca"})]
DATE = "Thu, 01 Jan 1970 00:17:00 GMT"  # 20 s after the clock's beginning


# --- what passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fault", "pause_s", "why"), [
    (status(429, headers={"Retry-After": "3"}), 3.5, "busy, and says for how long"),
    (status(429, headers={"Retry-After": DATE}), 20.5, "busy until a date"),
    (status(429), 0.5, "busy"),
    (status(500), 0.5, "a server's fault"),
    (status(503, headers={"Retry-After": "1"}), 1.5, "loading"),
    (reset, 0.5, "connection reset"),
    (answers(b"<html>Bad gateway</html>", kind="text/html"), 0.5, "no JSON"),
    (answers(b'{"choices": [{"mess', kind="application/json"), 0.5, "JSON cut off"),
    (answers(b"[1, 2]"), 0.5, "other JSON"),
    (answers({**completion("a"), "choices": []}), 0.5, "no choice"),
    (answers({**completion("a"), "choices": None}), 0.5, "nothing for choices"),
    (answers({"choices": [{"finish_reason": "stop"}]}), 0.5, "a choice without a message"),
    (answers({"error": {"message": "worker died"}}), 0.5, "an error with the status of a success"),
])  # fmt: skip
def test_a_passing_fault_is_outlasted(server, at, clock, fault, pause_s, why):
    server.script = [fault, says("hello")]
    assert at("vllm", name=NAME).ask("Hello").text == "hello", why
    assert clock.pauses == [pause_s] and len(server.requests) == 2


@pytest.mark.parametrize(("fault", "error", "words"), [
    (status(429, "slow down"), ServerBusy, r"vLLM at http://127.* answered 429: slow down; tried 4 times within total_timeout_s=5"),
    (status(429, headers={"Retry-After": "3600"}), ServerBusy, "tried once .* the server asks to wait 3600 s"),
    (status(500, "CUDA error"), ServerFault, "answered 500: CUDA error; tried 4 times"),
    (reset, Unreachable, "cannot be reached .*is it running.*; tried 4 times"),
    (answers(b"<html>"), BrokenReply, "gave an answer that is not the protocol's JSON"),
    (answers({"choices": []}), BrokenReply, "gave an answer without a choice"),
    (answers({"choices": [{}]}), BrokenReply, "of another shape than the protocol's"),
])
def test_a_fault_that_does_not_pass_ends_in_time(server, at, clock, fault, error, words):
    server.script = [fault]
    began = clock.time_s
    with pytest.raises(error, match=words):
        at("vllm", name=NAME, total_timeout_s=5).ask("Hello")
    assert clock.time_s - began <= 5


def test_tokens_per_minute_are_waited_for(server, at, clock):
    server.script = [status(429, "Allocated quota exceeded", code="insufficient_quota"), says("hello")]
    assert at("dashscope").ask("Hello").text == "hello" and clock.pauses == [0.5]


def test_nobody_there(at, server, clock):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(Unreachable, match=r"vLLM at .* cannot be reached \(.*refused.*\); is it running"):
            at("vllm", total_timeout_s=2).ask("Hello")
    assert clock.pauses == [0.5, 1.0]


# --- what stays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "fault", "error", "words"), [
    ("dashscope", status(401, "Incorrect API key"), KeyRefused, "set DASHSCOPE_API_KEY in .* to a valid key .a key belongs to one region"),
    ("openai", status(403, "no access"), KeyRefused, "answered 403: no access; set OPENAI_API_KEY"),
    ("vllm", status(400, "max_tokens is too large"), RequestRefused, "answered 400: max_tokens is too large$"),
    ("openai", status(404, "Not Found"), RequestRefused, "is this the address of an OpenAI-compatible API"),
    ("openai", status(429, "no money", code="insufficient_quota"), RequestRefused, "no money"),
    ("dashscope", status(400, "refused", code="data_inspection_failed"), ContentFiltered, "change the prompt or the picture"),
    ("openai", says("I mu", reason="content_filter"), ContentFiltered, "a content filter ended the answer"),
])
def test_a_fault_that_stays_is_met_once(server, at, clock, kind, fault, error, words):
    server.script = [fault]
    with pytest.raises(error, match=words):
        at(kind).ask("Hello")
    assert len(server.requests) == 1 and clock.pauses == []


def test_a_filtered_answer_carries_what_there_was(server, at):
    server.script = [says("I must not", reason="content_filter")]
    with pytest.raises(ContentFiltered) as caught:
        at("openai").ask("?")
    assert caught.value.partial == "I must not"


@pytest.mark.parametrize("fault", [
    status(404, "The model `qwen3-vl-plus-2025-09-23` does not exist or you do not have access to it.", code="model_not_found"),
    status(400, "Model qwen3-vl-plus-2025-09-23 is not supported"),
])
def test_a_retired_model_names_what_there_is(server, at, fault):
    server.script, server.models = [fault], [f"text-{number}" for number in range(40)] + ["qwen3.7-vl-max", "qwen3-vl-plus-2026-06-01"]
    with pytest.raises(UnknownModel, match=r"no longer, served there; it offers qwen3-vl-plus-2026-06-01, .*qwen3.7-vl-max.* and 30 more") as caught:
        at("dashscope", name="qwen3-vl-plus-2025-09-23").ask("Hello")
    assert caught.value.offered == server.models


def test_a_server_without_a_list_says_so(server, at):
    server.script, server.models = [status(404, "no such model", code="model_not_found")], None
    with pytest.raises(UnknownModel, match="this server does not list what it offers"):
        at("openai").ask("Hello")


def test_a_server_without_a_model_says_so(server, at):
    server.models = []
    with pytest.raises(UnknownModel, match="vLLM at .* lists no model"):
        at("vllm").ask("Hello")


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("broken", "why"), [
    (streams(*PIECES, cut=True), "the connection is reset"),
    (streams(*PIECES, ends=False), "the connection is closed"),
    (streams(*PIECES), "it says that it is done, and is not"),
    (streams(*PIECES, '{"choices": [{"del'), "JSON cut off"),
    (streams(*PIECES, '"text"'), "other JSON"),
    (streams(*PIECES, {"error": {"message": "out of memory", "code": 500}}), "an error in the stream"),
])
def test_a_stream_that_breaks_says_so_and_carries_what_came(server, at, clock, broken, why):
    server.script = [broken]
    pieces = []
    with pytest.raises((BrokenReply, ServerFault), match="vLLM at") as caught:
        pieces.extend(at("vllm").stream(HELLO))
    assert (pieces, caught.value.partial) == (["two ", "ca"], "two ca"), why
    assert clock.pauses == [], "a stream that has begun is not begun again"


def test_a_stream_is_begun_again_before_its_first_piece(server, at, clock):
    role = chunk({"role": "assistant", "content": ""})
    server.script = [status(500), reset, streams(role, cut=True), streams(*PIECES, chunk({}, reason="stop"))]
    assert "".join(at("vllm").stream(HELLO)) == "two ca"
    assert clock.pauses == [0.5, 1.0, 2.0]


def test_a_reply_that_comes_as_a_stream_is_asked_for_again_as_a_whole(server, at, clock):
    server.script = [streams(*PIECES, cut=True), streams(*PIECES, chunk({"content": "ts"}, reason="stop"))]
    assert at("dashscope").ask("?", enable_thinking=True).text == "two cats"
    assert clock.pauses == [0.5]


def test_a_refused_stream_is_refused_at_its_first_piece(server, at):
    server.script = [status(401, "Incorrect API key")]
    stream = at("vllm").stream(HELLO)
    with pytest.raises(KeyRefused):
        next(stream)


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_silent_server_is_not_waited_for(server, at):
    server.script = [late(1.0, says("too late"))]
    model = at("vllm", name=NAME)
    model.patience = Patience(total_timeout_s=0.4, timeout_s=0.15, first_delay_s=0.01)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer in time; is it still loading, or is timeout_s too short.*tried [234] times"):
        model.ask("Hello")
    assert time.monotonic() - began < 0.9
    with pytest.raises(Unreachable, match="total_timeout_s=0.1$"):
        model.ask("Hello", timeout_s=0.05, total_timeout_s=0.1)


def test_a_stream_that_falls_silent_is_not_waited_for(server, at):
    server.script = [streams(*PIECES, *PIECES, pause_s=0.3)]
    model = at("vllm", name=NAME)
    model.patience = Patience(timeout_s=0.1)
    with pytest.raises(BrokenReply, match="fell silent in the middle"):
        list(model.stream(HELLO))


def test_an_answer_that_drips_ends_in_time(server, at):
    server.script = [streams(*PIECES * 100, pause_s=0.02)]
    model = at("vllm", name=NAME)
    model.patience = Patience(total_timeout_s=0.2, timeout_s=5)
    with pytest.raises(Unreachable, match="was still answering after total_timeout_s=0.2"):
        list(model.stream(HELLO))


# --- keys -----------------------------------------------------------------------------------------------------------

KEY = "sk-THE-KEY-0123456789abcdef"


@pytest.mark.parametrize("fault", [
    status(401, f"Incorrect API key provided: {KEY}."),
    status(500, f"cannot forward Authorization: Bearer {KEY}"),
    status(404, f"no model for {KEY}", code="model_not_found"),
    answers(f"<html>{KEY}</html>".encode(), kind="text/html"),
    answers({"error": {"message": KEY}}),
    reset,
    streams(chunk({"content": "a"}), {"error": {"message": f"bad key {KEY}"}}),
])
def test_no_key_comes_out(server, at, monkeypatch, caplog, fault):
    model = at("dashscope", total_timeout_s=1)
    monkeypatch.setenv("DASHSCOPE_API_KEY", KEY)
    server.script = [fault]
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ModelError) as caught:
        model.ask("Hello") if fault is not None and "streams" not in fault.__qualname__ else list(model.stream(HELLO))
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(vars(caught.value)) + repr(model) + repr(vars(model))
    assert server.headers[0]["authorization"] == f"Bearer {KEY}", "it was sent"
    assert KEY not in told + caplog.text and caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(("text", "shown"), [
    ("key sk-abcdef123456 is bad", "key sk-*** is bad"),
    ("Bearer eyJhbGciOi.x.y", "Bearer ***"),
    ("my-own-secret-key!", "***!"),
    ("task sk-1", "task sk-1"),
])
def test_what_looks_like_a_key_is_taken_out(text, shown):
    assert faults.scrubbed(text, "my-own-secret-key") == shown
