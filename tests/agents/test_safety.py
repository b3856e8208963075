"""What needs consent, and the gate through which a browser speaks: nothing leaves that is not on the list."""

import http.client
import socket
import threading

import pytest

from cookbook_utils.agents.environment import Target
from cookbook_utils.agents.gate import Gate
from cookbook_utils.agents.safety import host_allowed, risk_of

CLICK = {"action": "left_click", "coordinate": [1, 2]}


@pytest.mark.parametrize(("action", "target", "kind"), [
    (CLICK, Target("Buy now"), "buy"),
    (CLICK, Target("立即购买"), "buy"),
    (CLICK, Target("Proceed to checkout"), "buy"),
    ({"action": "click", "coordinate": [1, 2]}, Target("Place order"), "buy"),
    ({"action": "key", "keys": ["enter"]}, Target("Search Pay"), "buy"),
    ({"action": "long_press", "coordinate": [1, 2]}, Target("Delete"), "delete"),
    (CLICK, Target("清空回收站"), "delete"),
    (CLICK, Target("More", url="https://evil.example/"), "leave"),
    (CLICK, Target("More", url="https://good.example.evil.example/"), "leave"),
    (CLICK, Target("More", url="https://good.example@evil.example/"), "leave"),
    ({"action": "type", "text": "x"}, Target("Card number", secret=True), "secret"),
    (CLICK, Target("Card number", secret=True), None),
    (CLICK, Target("Buyer's guide to undeleted files"), None),
    (CLICK, Target("More", url="https://good.example:8000/x"), None),
    (CLICK, Target("An article on how to buy a house, how to pay for it, and how to delete old papers of yours"), None),
    ({"action": "type", "text": "delete me and buy it"}, Target("Search"), None),
    ({"action": "scroll", "pixels": 5}, Target("Buy now"), None),
    (CLICK, None, None),
])  # fmt: skip
def test_the_action_and_what_it_meets_make_the_risk(action, target, kind):
    risk = risk_of(action, target, ["good.example"])
    assert (risk and risk.kind) == kind


@pytest.mark.parametrize(("host", "hosts", "allowed", "reason"), [
    ("example.com", ["example.com"], True, "itself"),
    ("EXAMPLE.com:8080", ["example.com"], True, "any port, any case"),
    ("example.com:8080", ["example.com:80"], False, "one port only"),
    ("a.example.com", ["example.com"], False, "not those below"),
    ("a.example.com", ["*.example.com"], True, "those below"),
    ("badexample.com", ["*.example.com"], False, "not those that end alike"),
    ("example.com.evil.org", ["example.com"], False, "not those that begin alike"),
    ("anything", ["*"], True, "all"),
    ("example.com", [], False, "none"),
])  # fmt: skip
def test_an_allow_list(host, hosts, allowed, reason):
    assert host_allowed(host, hosts) is allowed, reason


@pytest.fixture
def gate(tmp_path):
    (tmp_path / "index.html").write_text("<h1>home</h1>")
    (tmp_path.parent / "secret.txt").write_text("secret")
    one = Gate(["127.0.0.1"], {"files.test": tmp_path})
    yield one
    one.close()


def ask(gate, target: str, method="GET", body=None):
    """Status and body of a proxied request."""
    connection = http.client.HTTPConnection(gate.url.removeprefix("http://"), timeout=10)
    connection.request(method, target, body)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_an_allowed_host_is_reached(gate, site):
    site.pages["/"] = "<p>hello"
    assert ask(gate, site.url("/?a=b%20c")) == (200, "<p>hello") and site.asked == ["/?a=b%20c"]


@pytest.mark.parametrize("target", ["http://evil.test/", "http://localhost/", "http://127.0.0.1.evil.test/"])
def test_another_host_is_refused_and_told(gate, target):
    status, body = ask(gate, target)
    assert status == 403 and "not on the allow-list" in body and len(gate.refused) == 1


@pytest.mark.parametrize(("path", "status"), [
    ("/", 200), ("/index.html", 200), ("/none.html", 404), ("/../secret.txt", 404), ("/%2e%2e/secret.txt", 404), ("//etc/passwd", 404),
])  # fmt: skip
def test_a_folder_is_served_and_nothing_beside_it(gate, path, status):
    assert ask(gate, f"http://files.test{path}")[0] == status


def test_a_tunnel_carries_bytes_to_an_allowed_host_only(gate):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=lambda: echo(listener), daemon=True).start()
        address = gate.url.removeprefix("http://").split(":")
        for host, line in (("127.0.0.1", b"HTTP/1.1 200"), ("localhost", b"HTTP/1.1 403")):
            with socket.create_connection((address[0], int(address[1])), timeout=10) as near:
                near.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
                assert near.recv(4096).startswith(line)
                if b"200" in line:
                    near.sendall(b"ping")
                    assert near.recv(4) == b"ping"


def echo(listener):
    near, _ = listener.accept()
    near.sendall(near.recv(100))
    near.close()


def test_a_host_that_is_not_there_is_a_bad_gateway(gate):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert ask(gate, f"http://127.0.0.1:{port}/")[0] == 502
