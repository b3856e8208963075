"""The only way out of an agent's browser: a proxy on this machine that lets through what the allow-list names.

Every request of the browser comes here: pages, redirects, pictures, sockets, whatever a script asks for. (Interception
inside the browser would be simpler and not enough: it does not see the target of a redirect.) It also serves folders of
this machine under made-up host names, so that pages from disk need neither `file:` addresses nor a port of their own.

Sources: RFC 9110 section 9.3.6 (CONNECT), RFC 9112 section 3.2.2 (absolute-form).
"""

import http.client
import mimetypes
import select
import socket
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .safety import host_allowed

__all__ = ["Gate"]

_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "transfer-encoding",
               "upgrade"}  # fmt: skip
_PIECE = 65_536
_ANSWER_TIMEOUT_S = 120


class Gate:
    """A filtering proxy on loopback; `url` is its address.

    hosts: what may be spoken to, as in `host_allowed`; folders: `{host name: folder}` that it serves itself.
    `refused` lists the hosts that were asked for and not allowed.
    """

    def __init__(self, hosts: Iterable[str] = (), folders: Mapping[str, Path] | None = None):
        self.hosts = list(hosts)
        self.folders = {host: Path(folder).resolve() for host, folder in (folders or {}).items()}
        self.refused: list[str] = []
        handler = type("_GateHandler", (_Handler,), {"gate": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop serving; a second call does nothing."""
        self._server.shutdown()
        self._server.server_close()

    def lets_through(self, host: str) -> bool:
        """Whether a host (`name:port`) may be spoken to; notes the refusal if not."""
        if host_allowed(host, self.hosts):
            return True
        if host not in self.refused:
            self.refused.append(host)
        return False

    def file_of(self, host: str, path: str) -> Path | None:
        """The file that a served host has under a path; None if there is none or it lies outside the folder."""
        folder = self.folders[host]
        file = (folder / unquote(path).lstrip("/")).resolve()
        file = file / "index.html" if file.is_dir() else file
        return file if file.is_relative_to(folder) and file.is_file() else None


class _Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, request, client_address) -> None:
        """A browser that breaks off a request is no news."""


class _Handler(BaseHTTPRequestHandler):
    gate: Gate
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        pass

    def _request(self) -> None:
        parts = urlsplit(self.path)
        if parts.netloc in self.gate.folders:
            self._serve(self.gate.file_of(parts.netloc, parts.path))
        elif self.gate.lets_through(parts.netloc):
            self._forward(parts)
        else:
            self._answer(403, "text/html", f"<h1>Blocked</h1><p>{parts.hostname} is not on the allow-list.".encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _request

    def do_CONNECT(self) -> None:
        if not self.gate.lets_through(self.path):
            self._answer(403, "text/plain", b"not on the allow-list")
            return
        host, _, port = self.path.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_TIMEOUT_S) as far:
                self.send_response(200, "Connection established")
                self.end_headers()
                _relay(self.connection, far)
        except (OSError, ValueError) as error:
            with suppress(OSError):
                self._answer(502, "text/plain", str(error).encode())
        self.close_connection = True

    def _serve(self, file: Path | None) -> None:
        if file is None:
            self._answer(404, "text/plain", b"no such file")
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        kind += "; charset=utf-8" if kind.startswith(("text/", "application/javascript")) else ""
        self._answer(200, kind, file.read_bytes(), {"Cache-Control": "max-age=3600"})

    def _forward(self, parts) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=_ANSWER_TIMEOUT_S)
        try:
            connection.request(self.command, target, self.rfile.read(length) if length else None, headers)
            self._pass_on(connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            with suppress(OSError):
                self._answer(502, "text/plain", str(error).encode())
        finally:
            connection.close()
            self.close_connection = True

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        """Send an answer on as it comes; its end is the end of the connection."""
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        while piece := answer.read1(_PIECE):
            self.wfile.write(piece)
            self.wfile.flush()

    def _answer(self, status: int, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _relay(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    sides = {near: far, far: near}
    while True:
        ready, _, _ = select.select(list(sides), [], [], _ANSWER_TIMEOUT_S)
        if not ready:
            return
        for side in ready:
            piece = side.recv(_PIECE)
            if not piece:
                return
            sides[side].sendall(piece)
