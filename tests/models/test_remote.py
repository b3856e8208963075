"""Models behind a server: what is sent, each in the server's own way, and what becomes of the answer."""

import json

import pytest
from faulty_server import NAME, answers, chunk, says, speaks, status, streams

from cookbook_utils.models import ModelError
from cookbook_utils.models.servers import SERVERS, api_address, dashscope_address

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "key", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def sent(server) -> dict:
    """The last request, without what each one has."""
    return {name: value for name, value in server.requests[-1].items() if name not in ("messages", "skip_special_tokens")}


# --- settings -------------------------------------------------------------------------------------------------------


def test_the_models_name_is_asked_of_the_server(server, at):
    model = at("vllm")
    assert model.ask("Hello").text == "hello" and sent(server) == {"model": NAME}
    assert (model.name, at("vllm", name="other").name) == (NAME, "other")


@pytest.mark.parametrize(("kind", "settings", "fields"), [
    ("vllm", {"max_new_tokens": 5, "temperature": 0, "top_p": 0.9, "presence_penalty": 1.5, "seed": 3},
     {"max_tokens": 5, "temperature": 0, "top_p": 0.9, "presence_penalty": 1.5, "seed": 3}),
    ("vllm", {"top_k": 0, "stop": "END"}, {"top_k": -1, "stop": ["END"]}),
    ("vllm", {"enable_thinking": False}, {"chat_template_kwargs": {"enable_thinking": False}}),
    ("sglang", {"top_k": 20, "repetition_penalty": 1.1}, {"top_k": 20, "repetition_penalty": 1.1}),
    ("dashscope", {"top_k": 0, "seed": 3}, {"top_k": None, "seed": 3}),
    ("dashscope", {"vl_high_resolution_images": True, "enable_thinking": False, "thinking_budget": 99},
     {"vl_high_resolution_images": True, "enable_thinking": False, "thinking_budget": 99}),
    ("openai", {"temperature": None}, {}),
    ("openai", {"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    ("openai", {"response_format": SCHEMA},
     {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}}),
    ("vllm", {"enable_thinking": True, "extra_body": {"chat_template_kwargs": {"a": 1}, "min_p": 0.1}},
     {"chat_template_kwargs": {"enable_thinking": True, "a": 1}, "min_p": 0.1}),
])  # fmt: skip
def test_each_setting_goes_where_the_server_wants_it(server, at, kind, settings, fields):
    at(kind).ask("Hello", **settings)
    assert sent(server) == {"model": NAME, **fields}


@pytest.mark.parametrize(("kind", "settings", "error", "words"), [
    ("vllm", {"thinking_budget": 5}, ValueError, "thinking_budget is not a setting of vLLM; it takes max_new_tokens, .*extra_body"),
    ("openai", {"vl_high_resolution_images": True}, ValueError, "vl_high_resolution_images is not a setting of the server"),
    ("dashscope", {"thinking_budget": 0}, ValueError, "thinking_budget must be a whole number of tokens from 1, got 0"),
    ("vllm", {"top_p": 2}, ValueError, "top_p must be"),
    ("vllm", {"max_tokens": 2}, TypeError, "unknown generation setting max_tokens; known: max_new_tokens.*response_format"),
])
def test_a_wrong_setting_is_named_before_anything_is_sent(server, at, kind, settings, error, words):
    with pytest.raises(error, match=words):
        at(kind).ask("Hello", **settings)
    assert server.requests == []


def test_a_call_goes_before_load_model(server, at):
    model = at("vllm", temperature=0, seed=1)
    model.ask("Hello", seed=2)
    assert sent(server) == {"model": NAME, "temperature": 0, "seed": 2}


def test_special_tokens_are_kept_where_a_server_would_drop_them(server, at):
    at("vllm").ask("Hello")
    at("dashscope").ask("Hello")
    assert [request.get("skip_special_tokens") for request in server.requests] == [False, None]


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "environment", "address"), [
    ({}, {}, "https://dashscope.aliyuncs.com/compatible-mode/v1"),
    ({}, {"DASHSCOPE_REGION": "intl"}, "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    ({"region": "us"}, {"DASHSCOPE_REGION": "intl"}, "https://dashscope-us.aliyuncs.com/compatible-mode/v1"),
    ({}, {"DASHSCOPE_BASE_URL": "https://proxy/api/"}, "https://proxy/api"),
    ({"base_url": "https://mine/v1"}, {"DASHSCOPE_BASE_URL": "https://proxy/v1"}, "https://mine/v1"),
    ({"region": "de"}, {"DASHSCOPE_WORKSPACE_ID": "ws-1"}, "https://ws-1.eu-central-1.maas.aliyuncs.com/compatible-mode/v1"),
])
def test_the_first_that_names_dashscopes_address_counts(monkeypatch, options, environment, address):
    for name in ("DASHSCOPE_REGION", "DASHSCOPE_BASE_URL", "DASHSCOPE_WORKSPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert dashscope_address(**options) == address


@pytest.mark.parametrize(("act", "words"), [
    (lambda: dashscope_address(region="mars"), "region: expected one of cn, intl, us, hk, de, got 'mars'"),
    (lambda: dashscope_address(region="de"), "addresses of workspaces only"),
    (lambda: api_address("https://host/v1?key=hidden"), "a password or a query; keys come from the environment"),
    (lambda: api_address("ftp://host"), "expected an address that begins with http"),
])
def test_a_wrong_address_is_named(monkeypatch, act, words):
    monkeypatch.delenv("DASHSCOPE_WORKSPACE_ID", raising=False)
    with pytest.raises(ValueError, match=words) as caught:
        act()
    assert "hidden" not in str(caught.value)


# --- messages -------------------------------------------------------------------------------------------------------


def test_a_conversation_goes_as_it_is(server, at):
    chat = [{"role": "system", "content": "Be brief."}, *HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": [{"type": "text", "text": "?"}]}]
    at("vllm").chat(chat)
    assert server.requests[0]["messages"] == chat


def test_tool_turns_get_what_the_protocol_wants(server, at):
    calls = [{"name": "key", "arguments": {"keys": ["a"]}}, {"type": "function", "function": {"name": "key", "arguments": "{}"}}]
    turns = [{"role": "assistant", "content": None, "tool_calls": calls}, *[{"role": "tool", "content": "done"}] * 2]
    at("dashscope").chat([*HELLO, *turns], tools=[TOOL])
    _, asked, first, second = server.requests[0]["messages"]
    assert [call["id"] for call in asked["tool_calls"]] == [first["tool_call_id"], second["tool_call_id"]] == ["call_1", "call_2"]
    assert json.loads(asked["tool_calls"][0]["function"]["arguments"]) == {"keys": ["a"]}
    assert server.requests[0]["tools"] == [TOOL]


# --- replies --------------------------------------------------------------------------------------------------------

CALL = {"id": "1", "type": "function", "function": {"name": "key", "arguments": '{"keys": ["a"]}'}}
WRITTEN = '<tool_call>\n{"name": "key", "arguments": {"keys": ["a"]}}\n</tool_call>'


@pytest.mark.parametrize(("act", "text", "thinking", "reason", "why"), [
    (says("two"), "two", "", "stop", "plain"),
    (says("two", reasoning_content="count"), "two", "count", "stop", "DashScope's field, vLLM's of old"),
    (says("two", reasoning="count"), "two", "count", "stop", "vLLM's field"),
    (says("count</think>two"), "two", "count", "stop", "no parser at the server"),
    (says(None, reasoning="count", reason="length"), "", "count", "length", "cut off while thinking"),
    (says("two ca", reason="length"), "two ca", "", "length", "cut off"),
    (says([{"type": "text", "text": "two"}]), "two", "", "stop", "content in parts"),
    (says("two<|im_end|>"), "two", "", "stop", "the turn's end left in"),
    (says(None, tool_calls=[CALL], reason="tool_calls"), WRITTEN, "", "stop", "calls parsed by the server"),
    (says("Now.", tool_calls=[CALL], reason="tool_calls"), f"Now.\n{WRITTEN}", "", "stop", "text and a call"),
    (says(WRITTEN), WRITTEN, "", "stop", "calls left in the text"),
])
def test_what_a_server_answers_is_read(server, at, act, text, thinking, reason, why):
    server.script = [act]
    reply = at("vllm").ask("How many?", tools=[TOOL])
    assert (reply.text, reply.thinking, reply.finish_reason) == (text, thinking, reason), why
    assert reply.tool_calls == ([{"name": "key", "arguments": {"keys": ["a"]}}] if "tool_call" in text else [])


def test_a_thinking_model_cut_off_was_thinking(server, at):
    server.script = [says("still counting", reason="length")]
    assert at("vllm", name="Qwen3-VL-4B-Thinking").ask("?").thinking == "still counting"
    assert at("vllm", name="Qwen3-VL-4B-Instruct").ask("?").text == "still counting"


@pytest.mark.parametrize("written", [{"image_tokens": 60, "video_tokens": 20}, {"multimodal_tokens": {"image": 60, "video": 20}}])
def test_usage_says_what_the_server_says(server, at, written):
    details = {"prompt_tokens": 90, "completion_tokens": 4, "prompt_tokens_details": written}
    server.script = [says("a", usage=details), says("a")]
    model = at("dashscope")
    assert model.ask("?").usage == {"prompt_tokens": 90, "completion_tokens": 4, "image_tokens": 80}
    assert model.ask("?").usage == {"prompt_tokens": 7, "completion_tokens": 3, "image_tokens": None}


def test_a_server_without_a_tool_parser_is_asked_for_the_text(server, at):
    refusal = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'
    server.script = [status(400, refusal), says(WRITTEN)]
    model = at("vllm")
    assert [model.ask("Press.", tools=[TOOL]).tool_calls[0]["name"] for _ in range(2)] == ["key", "key"]
    assert [request.get("tool_choice") for request in server.requests] == [None, "none", "none"]


def test_a_stop_text_that_a_server_ignores_still_ends_the_reply(server, at):
    server.script = [says("one END two"), speaks("one E", "ND two", reason="length")]
    assert at("openai").ask("?", stop="END").text == "one"
    stream = at("openai").stream(HELLO, stop="END")
    assert "".join(stream) == "one " and stream.reply.text == "one" and stream.reply.finish_reason == "stop"


# --- streams --------------------------------------------------------------------------------------------------------


def listened(stream) -> tuple[str, str]:
    pieces = list(stream)
    return "".join(p for p in pieces if p.thinking), "".join(p for p in pieces if not p.thinking)


@pytest.mark.parametrize(("events", "name", "why"), [
    ([chunk({"reasoning_content": "co"}), chunk({"reasoning_content": "unt", "content": None}), chunk({"content": "two"})], "m", "DashScope's field"),
    ([chunk({"reasoning": "count"}), chunk({"content": "t"}), chunk({"content": "wo"})], "Thinking", "vLLM's field"),
    ([chunk({"content": "<think>co"}), chunk({"content": "unt</thi"}), chunk({"content": "nk>two"})], "m", "tags in the text"),
    ([chunk({"content": "count</think>"}), chunk({"content": "two"})], "Qwen3-VL-Thinking", "the template opened the tag"),
])
def test_thinking_is_kept_apart_in_a_stream(server, at, events, name, why):
    server.script = [streams(*events, chunk({}, reason="stop"), chunk(usage={"prompt_tokens": 5, "completion_tokens": 2}))]
    stream = at("vllm", name=name).stream(HELLO)
    assert listened(stream) == ("count", "two"), why
    assert (stream.reply.text, stream.reply.thinking) == ("two", "count")
    assert stream.reply.usage == {"prompt_tokens": 5, "completion_tokens": 2, "image_tokens": None}


def test_a_stream_asks_for_its_usage(server, at):
    server.script = [speaks("a")]
    list(at("vllm").stream(HELLO))
    assert sent(server) == {"model": NAME, "stream": True, "stream_options": {"include_usage": True}}


def test_tool_calls_of_a_stream_are_put_together(server, at):
    deltas = [
        {"tool_calls": [{"index": 0, "id": "1", "type": "function", "function": {"name": "key", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"keys": '}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '["a"]}'}}]},
    ]
    server.script = [streams(*map(chunk, deltas), chunk({}, reason="tool_calls"))]
    stream = at("vllm").stream(HELLO, tools=[TOOL])
    assert listened(stream) == ("", WRITTEN)
    assert stream.reply.tool_calls == [{"name": "key", "arguments": {"keys": ["a"]}}]


def test_an_empty_stream_is_an_empty_reply(server, at):
    server.script = [speaks()]
    stream = at("vllm").stream(HELLO)
    assert list(stream) == [] and stream.reply.text == ""


def test_leaving_a_stream_leaves_the_connection(server, at):
    server.script = [streams(*[chunk({"content": "a" * 2000})] * 2000, pause_s=0.002)]
    stream = at("vllm").stream(HELLO)
    next(stream)
    stream.close()
    with pytest.raises(RuntimeError, match="has not come to its end"):
        _ = stream.reply


def test_dashscope_thinks_in_a_stream_only(server, at):
    server.script = [streams(chunk({"reasoning_content": "count"}), chunk({"content": "two"}, reason="stop"))]
    reply = at("dashscope").ask("?", enable_thinking=True)
    assert (reply.thinking, reply.text, sent(server)["stream"]) == ("count", "two", True)


# --- keys -----------------------------------------------------------------------------------------------------------


def test_the_key_of_the_moment_is_sent(server, at, monkeypatch):
    model = at("vllm")
    for key in ("first-key", "second-key"):
        monkeypatch.setenv("VLLM_API_KEY", key)
        model.ask("Hello")
    assert [headers["authorization"] for headers in server.headers] == ["Bearer first-key", "Bearer second-key"]


def test_another_servers_key_is_not_sent(server, at, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-vllm")
    at("vllm").ask("Hello")
    assert "not-for-vllm" not in str(server.headers)


def test_dashscope_wants_a_key(monkeypatch):
    from cookbook_utils import load_model

    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    monkeypatch.delenv("COOKBOOK_CACHE_MODE", raising=False)
    with pytest.raises(ModelError, match="DASHSCOPE_API_KEY is not set; set DASHSCOPE_API_KEY in the environment"):
        load_model("dashscope:qwen3-vl-plus")


def test_the_tables_are_complete():
    assert [server.kind for server in SERVERS.values()] == list(SERVERS) == ["vllm", "sglang", "dashscope", "openai"]
    assert all(server.key.endswith("_API_KEY") and "max_new_tokens" in server.places for server in SERVERS.values())


def test_an_answer_may_be_said_to_be_an_error_only_in_its_body(server, at):
    server.script = [answers({"error": {"message": "no such image", "code": 400}})]
    with pytest.raises(ModelError, match="answered 400: no such image"):
        at("vllm").ask("?")
