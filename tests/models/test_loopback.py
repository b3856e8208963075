"""A server of this machine's own: it starts, it answers, and it is gone when it is not wanted or its starter is gone."""

import http.server
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from cookbook_utils import load_model
from cookbook_utils.models import loopback, vllm_server
from cookbook_utils.models.loopback import alive, keep, start_server

LOCATE = "Locate every object in the image. Report bbox coordinates in JSON format."
# Stands in for a server: it starts a child, as vLLM does, and both of them ignore a polite end.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(120)
"""


def gone(pid: int, within_s: float = 30.0) -> bool:
    end = time.monotonic() + within_s
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


def sleeper() -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])


def test_a_server_ends_with_the_process_that_wanted_it(tmp_path, monkeypatch):
    monkeypatch.setattr(loopback, "ENDED_IN_S", 0.5)
    starter, note = sleeper(), tmp_path / "pid"
    keeper = threading.Thread(target=keep, args=([sys.executable, "-c", STUBBORN, str(note)], dict(os.environ), starter.pid))
    keeper.start()
    while not (note.exists() and note.read_text()):
        time.sleep(0.05)
    child = int(note.read_text())
    assert alive(child)
    starter.kill()  # not reaped: it is a zombie, and counts as gone
    keeper.join(30)
    assert not keeper.is_alive() and gone(child)
    starter.wait()


def test_a_keeper_that_is_told_to_end_ends_its_server(tmp_path):
    code = f"""
import os, signal, sys
from cookbook_utils.models import loopback
loopback.ENDED_IN_S = 0.5
loopback.command = lambda *_: ([sys.executable, "-c", {STUBBORN!r}, {str(tmp_path / "pid")!r}], dict(os.environ))
loopback.main(["transformers"])
"""
    keeper, note = subprocess.Popen([sys.executable, "-c", code]), tmp_path / "pid"
    while not (note.exists() and note.read_text()):
        assert keeper.poll() is None
        time.sleep(0.05)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(30) == 0 and gone(int(note.read_text()))


def test_a_server_that_ends_by_itself_ends_its_keeper():
    assert keep([sys.executable, "-c", "raise SystemExit(7)"], dict(os.environ), None) == 7


def test_a_server_that_does_not_start_is_an_error_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setenv("COOKBOOK_VLLM", str(tmp_path))
    (tmp_path / "bin").mkdir()
    (tmp_path / "complete").write_text(vllm_server.CONTENT)
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\necho out of memory\nexit 3\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(RuntimeError, match=r"(?s)the server \(vllm\) ended; its log .* ends with:.*out of memory"):
        start_server()


def test_another_kind_is_an_error():
    with pytest.raises(ValueError, match="kind: expected one of vllm, transformers, got 'ollama'"):
        start_server("ollama")


def test_only_what_answers_is_ready():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    assert not loopback.answers(f"http://127.0.0.1:{loopback.free_port()}/v1")
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        base = f"http://127.0.0.1:{server.server_port}"
        assert loopback.answers(f"{base}/v1") and not loopback.answers(base)
        server.shutdown()


def test_transformers_serves_the_embedded_model(root):
    with start_server("transformers") as server:
        reply = load_model(server.spec).ask(LOCATE, root / "assets/pictures/scene_00.png", max_new_tokens=8)
        assert "bbox_2d" in reply.text and reply.usage["prompt_tokens"] > 16
    assert server.keeper.poll() is not None and not loopback.answers(server.url)
