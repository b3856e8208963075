"""The doctor answers in every condition: nothing installed, silent servers, checks that hang or raise."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cookbook_utils import doctor
from cookbook_utils.doctor import Finding

ALL_MISSING = [Finding(what, "missing", "") for what in doctor.PACKAGES]


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gigabytes", "largest", "reason"), [
    (4, None, "a small laptop"),
    (8, "2B", "5.0 GB needed"),
    (16, "4B", "10.6 GB needed"),
    (24, "8B", "21.1 GB needed"),
    (79, "30B-A3B", "74.6 GB: all experts are in memory, not only the 3 B active ones"),
    (96, "32B", "80.2 GB needed"),
    (8 * 80, "235B-A22B", "565.7 GB: eight 80 GB cards"),
])
def test_the_largest_model_that_fits(gigabytes, largest, reason):
    assert (doctor.models_that_fit(gigabytes) or [None])[-1] == largest, reason


def test_models_are_listed_from_small_to_large():
    assert list(doctor.QWEN3_VL.values()) == sorted(doctor.QWEN3_VL.values())


def test_gpu_memory_counts_before_ram():
    assert doctor._memory_finding([16_000_000_000, 8_000_000_000]).text.startswith("24 GB of GPU memory")


# --- single checks --------------------------------------------------------------------------------------------------


def test_weights_that_are_only_a_pointer_are_no_model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / "model.safetensors"
    weights.write_text("version https://git-lfs.github.com/spec/v1")
    assert doctor.check_embedded_model(tmp_path).fatal
    weights.write_bytes(bytes(20_000))
    assert doctor.check_embedded_model(tmp_path).state == "ok"


def test_a_browser_that_cannot_start_is_no_browser(tmp_path):
    stub = tmp_path / "chromium"
    stub.write_text("#!/bin/sh\necho 'requires the snap to be installed'\nexit 10\n")
    stub.chmod(0o755)
    assert doctor.check_browser([str(stub)]).state == "missing"


def test_keys_are_reported_without_their_value(monkeypatch):
    monkeypatch.setenv("DASHSCOPE_API_KEY", "not-to-be-shown")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert doctor.check_keys().text.startswith("DASHSCOPE_API_KEY set, OPENAI_API_KEY not set, VLLM_API_KEY")


def test_a_broken_import_is_a_finding(monkeypatch):
    monkeypatch.setattr(doctor, "_in_python", lambda code: (False, "ImportError: libfoo.so"))
    for finding in (doctor.check_transformers(), doctor.check_torch_and_memory()[0]):
        assert finding.fatal and "libfoo" in finding.text


@pytest.mark.parametrize(("usb", "state", "remedy"), [(None, "missing", ""), ("libusb-1.0.so.0", "ok", "pip install")])
def test_open3d_without_libusb_is_told_from_open3d_not_installed(monkeypatch, usb, state, remedy):
    monkeypatch.setattr(doctor, "_in_python", lambda code: (False, "OSError: libusb-1.0.so.0: cannot open"))
    monkeypatch.setattr(doctor.ctypes.util, "find_library", lambda name: usb)
    open3d, libusb = doctor.check_open3d()
    assert (libusb.state, open3d.state) == (state, "missing") and open3d.remedy.startswith(remedy)


def test_a_command_and_its_children_end_in_time():
    start = time.monotonic()
    assert doctor._output(["sh", "-c", "sleep 60 & sleep 60"], timeout_s=0.3) is None
    assert time.monotonic() - start < 10


# --- servers --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(answer):
    """A real server on loopback; `answer(handler)` writes the reply to each GET."""
    handler = type("Handler", (BaseHTTPRequestHandler,), {"do_GET": answer, "log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def reply(body: str, status: int = 200):
    def answer(handler):
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(body.encode())

    return answer


def drip(handler):
    """Never ends: one byte every 0.2 s, so that no single read times out."""
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.2)


@pytest.mark.parametrize(("answer", "state", "words", "reason"), [
    (reply('{"data": [{"id": "a"}, {"id": "b"}]}'), "ok", "serves a, b", "as vLLM and SGLang answer"),
    (reply('{"data": []}'), "ok", "no model", "up, nothing loaded"),
    (reply("", 401), "info", "HTTP 401", "wants a key"),
    (reply("<html>"), "info", "nothing answers", "another program has the port"),
    (reply('["a"]'), "info", "nothing answers", "JSON of another form"),
    (lambda handler: time.sleep(5), "info", "nothing answers", "accepts, then is silent"),
    (drip, "info", "nothing answers", "never ends"),
])
def test_what_a_server_answers(monkeypatch, answer, state, words, reason):
    monkeypatch.setattr(doctor, "SERVER_TIMEOUT_S", 0.6)
    with serving(answer) as url:
        finding = doctor.check_server("vLLM", url)
    assert (finding.state, words in finding.text) == (state, True), reason


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_url_may_end_in_v1_or_not(suffix):
    asked = []
    with serving(lambda handler: (asked.append(handler.path), reply('{"data": []}')(handler))) as url:
        doctor.check_server("vLLM", url + suffix)
    assert asked == ["/v1/models"]


def test_a_password_in_the_url_is_not_shown():
    assert "secret" not in doctor.check_server("vLLM", "http://ann:secret@127.0.0.1:9/v1").text


# --- all checks together --------------------------------------------------------------------------------------------


def test_a_check_that_hangs_or_raises_is_a_line_among_the_others():
    checks = {"hangs": lambda: time.sleep(30), "torch": lambda: 1 / 0, "Python": doctor.check_python}
    findings = doctor.examine(checks, deadline_s=0.3)
    assert [(finding.what, finding.fatal) for finding in findings] == [("hangs", False), ("torch", True), ("Python", False)]
    assert "no answer" in findings[0].text and "ZeroDivisionError" in findings[1].text


# --- installing -----------------------------------------------------------------------------------------------------


class Apt:
    """Stands in for apt-get: records what it is asked, and cannot install what is in `fails`."""

    def __init__(self, monkeypatch, *, fails=()):
        self.asked, self.fails = [], fails
        monkeypatch.setattr(doctor, "_apt_prefix", lambda: [])
        monkeypatch.setattr(doctor, "_run", self.run)

    def run(self, command, timeout_s):
        self.asked.append(command[-1])
        return (100 if command[-1] in self.fails else 0), "", ""


def test_only_what_is_missing_is_installed(monkeypatch):
    apt = Apt(monkeypatch)
    assert doctor.install([Finding("Browser", "ok", ""), Finding("libusb", "missing", "")], lambda text: None)
    assert apt.asked == ["-qq", "libusb-1.0-0"]


def test_nothing_missing_asks_nobody(monkeypatch):
    apt, said = Apt(monkeypatch), []
    assert not doctor.install([Finding("Browser", "ok", "")], said.append)
    assert (apt.asked, said) == ([], ["System packages: nothing to install."])


def test_a_package_that_cannot_be_had_does_not_stop_the_others(monkeypatch):
    apt, said = Apt(monkeypatch, fails=["chromium"]), []
    doctor.install(ALL_MISSING, said.append)
    assert apt.asked[-1] == "libusb-1.0-0" and "could not install chromium" in said[1]


def test_without_the_right_to_install_it_says_how(monkeypatch):
    said = []
    monkeypatch.setattr(doctor, "_apt_prefix", lambda: None)
    assert not doctor.install(ALL_MISSING, said.append)
    assert all(words in said[0] for words in ("sudo apt-get install -y chromium", "sudo dnf install", "brew install libusb"))


@pytest.mark.skipif(not shutil.which("apt-cache"), reason="needs Debian or Ubuntu")
def test_debian_knows_the_packages():
    known = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True).stdout.split()
    if len(known) < 10_000:
        pytest.skip("this system's package lists were not fetched")
    assert set(doctor.packages_missing(ALL_MISSING, "apt-get")) <= set(known)


# --- the command line -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "required", "code"), [
    ("ok", True, 0), ("missing", False, 0), ("missing", True, 1), ("info", False, 0),
])
def test_the_exit_code_is_1_only_for_what_is_required(monkeypatch, capsys, state, required, code):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("thing", state, "text", required)])
    assert doctor.main([]) == code
    assert ("Not ready" if code else "Ready") in capsys.readouterr().out


def test_json_is_json_alone_even_while_installing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("Browser", "missing", "none")])
    Apt(monkeypatch)
    doctor.main(["--json", "--install"])
    assert json.loads(capsys.readouterr().out)["ready"] is True


def test_it_answers_where_nothing_is_installed(root):
    """The interpreter under the virtual environment, without PATH or home, still gets its table."""
    bare = [os.path.realpath(sys.executable), "-m", "cookbook_utils.doctor"]
    environment = {"PATH": "/nowhere", "HOME": "/nowhere"}
    done = subprocess.run(bare, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert "Python" in done.stdout and "missing  Browser" in done.stdout
