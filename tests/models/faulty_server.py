"""A real HTTP server on loopback that speaks OpenAI's protocol and misbehaves on purpose.

    server.script = [status(429), says("two cats")]      # one entry per request; the last one stays
    server.requests[0]["messages"]                       # what came, as dicts

An entry of the script is a function of (handler, body); the functions below make them.
"""

import contextlib
import http.server
import json
import socket
import struct
import threading
import time

import pytest

NAME = "served-model"


def completion(text="", *, reason="stop", usage=None, **message) -> dict:
    """A completion whose message has the text, and whatever else is named."""
    counts = usage or {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": NAME, "choices": [choice], "usage": counts}


def chunk(delta=None, *, reason=None, **more) -> dict:
    """A chunk of a stream; without delta, one that has no choice."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
    return {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": NAME, "choices": choices, **more}


def says(text="", **options):
    """Answers with a completion."""
    return answers(completion(text, **options))


def answers(content, code=200, headers=None, kind="application/json"):
    """Answers with a body, as JSON unless it is bytes."""

    def act(handler, body):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        handler.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return act


def status(number, message="no luck", /, *, headers=None, **error):
    """Answers with an error as OpenAI's API writes it."""
    return answers({"error": {"message": message, **error}}, number, headers)


def streams(*events, ends=True, cut=False, pause_s=0.0):
    """Answers with server-sent events: dicts, or texts as they are. cut: the connection is reset after the last one."""

    def act(handler, body):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        for event in events:
            data = event if isinstance(event, str) else json.dumps(event)
            handler.wfile.write(f"data: {data}\n\n".encode())
            handler.wfile.flush()
            time.sleep(pause_s)
        if cut:
            reset(handler, body)
        elif ends:
            handler.wfile.write(b"data: [DONE]\n\n")

    return act


def speaks(*texts, reason="stop", usage=None):
    """Streams an answer text by text, and the usage in a last chunk."""
    pieces = [chunk({"content": text}) for text in texts]
    return streams(chunk({"role": "assistant", "content": ""}), *pieces, chunk({}, reason=reason), chunk(usage=usage or {"prompt_tokens": 5}))


def reset(handler, body):
    """Resets the connection instead of answering."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.rfile.close()
    with contextlib.suppress(OSError, ValueError):
        handler.wfile.close()


def late(seconds, then):
    """Waits, then does something else."""

    def act(handler, body):
        time.sleep(seconds)
        then(handler, body)

    return act


class Server:
    """What a test sees: the address, the script, what came, the models that are listed (None: no list) and files."""

    def __init__(self):
        self.script, self.requests, self.headers, self.models, self.files = [says("hello")], [], [], [NAME], {}
        self.under_way = self.most_under_way = 0  # requests whose answer has not begun
        self.lock = threading.Lock()
        self.url = ""

    def next_act(self, body: dict):
        with self.lock:
            self.requests.append(body)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def count(self, step: int) -> None:
        with self.lock:
            self.under_way += step
            self.most_under_way = max(self.most_under_way, self.under_way)


def _handler(server: Server):
    class Handler(http.server.BaseHTTPRequestHandler):
        counted = False  # among the requests that are under way

        def do_GET(self):
            if self.path in server.files:
                return answers(server.files[self.path], kind="image/png")(self, {})
            listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in server.models or []]}
            there = self.path.endswith("/v1/models") and server.models is not None
            return (answers(listed) if there else status(404, "Not Found"))(self, {})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            server.count(1)
            self.counted = True
            with contextlib.suppress(OSError):  # the client went away
                server.next_act(body)(self, body)
            self.discount()

        def end_headers(self):
            self.discount()  # before the answer goes out: who has it may ask again at once
            super().end_headers()

        def discount(self):
            if self.counted:
                self.counted = False
                server.count(-1)

        def log_message(self, *_):
            pass

    return Handler


@contextlib.contextmanager
def running():
    """A server for as long as it lasts."""
    server = Server()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as serving:
        serving.daemon_threads, serving.block_on_close, serving.handle_error = True, False, lambda *_: None
        threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        server.url = f"http://127.0.0.1:{serving.server_port}/v1"
        yield server
        serving.shutdown()


class FakeTime:
    """A clock that only sleeping moves, and the pauses that were slept."""

    def __init__(self):
        self.time_s, self.pauses = 1000.0, []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(round(seconds, 3))
        self.time_s += seconds

    def patience(self, **options):
        """A Patience over this clock, whose pauses are the longest that chance allows."""
        from cookbook_utils.models.retry import Patience

        return Patience(sleep=self.sleep, clock=lambda: self.time_s, now=lambda: self.time_s, chance=lambda: 1.0, **options)


@pytest.fixture
def server(monkeypatch):
    """A server of its own for each test, and an environment without keys and cache."""
    for name in ("OPENAI_API_KEY", "DASHSCOPE_API_KEY", "VLLM_API_KEY", "SGLANG_API_KEY", "COOKBOOK_CACHE", "COOKBOOK_CACHE_MODE"):
        monkeypatch.delenv(name, raising=False)
    with running() as one:
        yield one


@pytest.fixture
def clock():
    """A clock for the pauses between tries."""
    return FakeTime()


@pytest.fixture
def at(server, clock, monkeypatch):
    """Makes a model of a kind of server over the loopback server: `at("dashscope", name="qwen3-vl-plus", seed=1)`."""
    from cookbook_utils.models.remote import RemoteModel
    from cookbook_utils.models.servers import SERVERS

    def make(kind="vllm", name=None, total_timeout_s=600.0, **settings):
        if SERVERS[kind].key_required:
            monkeypatch.setenv(SERVERS[kind].key, "sk-test-0123456789")
        patience = clock.patience(total_timeout_s=total_timeout_s)
        named = name or (None if SERVERS[kind].tells_models else NAME)
        return RemoteModel(SERVERS[kind], server.url, named, spec=f"{kind}:{named or ''}@{server.url}", patience=patience, **settings)

    return make
