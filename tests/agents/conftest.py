"""What the agents' tests share: a web server that can misbehave, and a model that is fed from a queue."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cookbook_utils.agents.baselines import reply_of
from cookbook_utils.agents.schemas import write_call


class Site:
    """A web server on loopback: `pages` maps paths to HTML, a (status, headers, body) or a function of the handler."""

    def __init__(self):
        self.pages, self.asked = {}, []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site.asked.append(self.path)
                page = site.pages.get(self.path.partition("?")[0], (404, {}, "nothing here"))
                if callable(page):
                    page(self)
                    return
                status, headers, body = (200, {}, page) if isinstance(page, str) else page
                body = body.encode() if isinstance(body, str) else body
                self.send_response(status)
                for name, value in {
                    "Content-Type": "text/html; charset=utf-8",
                    "Content-Length": str(len(body)),
                    **headers,
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.host = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/", name: str = "127.0.0.1") -> str:
        """An address of the site; `localhost` is a second host name for the same pages."""
        return f"http://{name}:{self.server.server_port}{path}"


@pytest.fixture
def site():
    one = Site()
    yield one
    one.server.shutdown()
    one.server.server_close()


class Queue:
    """A model that says what it was given, in turn, and keeps what it was asked."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    def chat(self, messages, **options):
        self.asked.append((messages, options))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply_of(reply if isinstance(reply, str) else write_call(*reply))


@pytest.fixture
def queue():
    return Queue
