"""Keeps replies on disk, so that a notebook that ran once can run again without its model.

    COOKBOOK_CACHE=folder             look there first, and keep there what was not found
    COOKBOOK_CACHE_MODE=replay        look there only: no model is asked, no key is needed, a request that is not there
                                      is a CacheMiss that names it

A request is known by the model, the messages (pictures and videos by a digest of their bytes), the tools and the settings;
the same request gives the same reply, sampled or not. Servers are known by the model that they serve, not by address;
pictures that a server's model gets by URL are kept too, so that a replay needs no network. An entry is a JSON file of its own, put in place in one step, so that processes can share a folder. It holds the prompt's
text and no key.
"""

import base64
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from .media import Clip
from .messages import Conversation
from .reply import Reply
from .stream import Piece, Stream

_FORM = 1  # of the entries; another number makes every older one a miss
_MODES = ("", "replay")
_NOT_COUNTED = ("timeout_s", "total_timeout_s")  # they change when an answer comes, not what it is


class CacheMiss(LookupError):
    """In replay mode, a request whose reply is not in the cache; the message names the request."""


def open_cache() -> "ReplyCache | None":
    """Give the cache that the environment asks for, None if it asks for none.

    Raises ValueError for a mode that there is not, or replay without a folder.
    """
    folder, mode = os.environ.get("COOKBOOK_CACHE", "").strip(), os.environ.get("COOKBOOK_CACHE_MODE", "").strip().lower()
    if mode not in _MODES:
        raise ValueError(f"COOKBOOK_CACHE_MODE: expected 'replay' or nothing, got {mode!r}")
    if mode and not folder:
        raise ValueError("COOKBOOK_CACHE_MODE=replay needs a folder with replies in COOKBOOK_CACHE")
    return ReplyCache(Path(folder).expanduser(), replay=bool(mode)) if folder else None


def replaying() -> bool:
    """Whether replies come from the cache alone."""
    return (cache := open_cache()) is not None and cache.replay


@dataclass(frozen=True)
class Request:
    """A request as a journal or a cache knows it: its key, and a description for people."""

    key: str
    summary: dict


def describe(identity: str, conversation: Conversation, settings: dict) -> Request:
    """Describe a request to a model.

    identity: what tells the model from all others.

    >>> describe("tiny", Conversation([{"role": "user", "content": "Hello"}]), {"seed": 1}).summary["prompt"]
    'Hello'
    """
    counted = {name: value for name, value in settings.items() if name not in _NOT_COUNTED}
    messages = [{**message, "content": _content(message["content"])} for message in conversation.messages]
    whole = {"form": _FORM, "model": identity, "messages": messages, "tools": conversation.tools, "settings": counted}
    text = json.dumps(whole, sort_keys=True, ensure_ascii=False, default=str)
    summary = {"model": identity, "prompt": _prompt(conversation), "pictures": _sizes(conversation), "settings": counted}
    return Request(hashlib.sha256(text.encode()).hexdigest(), summary)


def _content(content):
    if isinstance(content, str):  # the same as one part of text
        return [{"type": "text", "text": content}]
    return [part if part["type"] == "text" else {**part, part["type"]: fingerprint(part[part["type"]])} for part in content]


def fingerprint(media) -> str:
    """A digest of a picture or a video: of its file's bytes where a backend keeps them, else of its pixels and times."""
    if hasattr(media, "fingerprint"):
        return media.fingerprint()
    images, times = (media.frames, media.times_s) if isinstance(media, Clip) else ([media], [])
    digest = hashlib.sha256(repr(times).encode())
    for image in images:
        digest.update(f"{image.mode}{image.size}".encode() + image.tobytes())
    return digest.hexdigest()


def _prompt(conversation: Conversation) -> str:
    """The text of the last message that has any."""
    for message in reversed(conversation.messages):
        parts = [message["content"]] if isinstance(message["content"], str) else [p.get("text", "") for p in message["content"]]
        if text := " ".join(" ".join(parts).split()):
            return text
    return ""


def _sizes(conversation: Conversation) -> list[str]:
    pictures = [part["image"] for part in conversation.parts("image")]
    return [f"{picture.size[0]} x {picture.size[1]}" for picture in pictures] + ["video" for _ in conversation.parts("video")]


@dataclass(frozen=True)
class ReplyCache:
    """A folder of replies; with replay, nothing is ever added to it."""

    folder: Path
    replay: bool = False

    def find(self, request: Request) -> tuple[Reply, list[Piece]] | None:
        """The reply and the pieces in which it was streamed (none if it was not); None if it is not there.

        Raises CacheMiss instead of giving None in replay mode.
        """
        try:
            entry = json.loads(self._path(request.key).read_text(encoding="utf-8"))
            return Reply(**entry["reply"]), [Piece(text, thinking) for text, thinking in entry["pieces"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            if not self.replay:
                return None
            absent = isinstance(error, FileNotFoundError)
        raise CacheMiss(f"COOKBOOK_CACHE_MODE=replay: {self._missing(request.summary, absent)}")

    def keep(self, request: Request, reply: Reply, pieces: list[Piece] = ()) -> None:
        """Put a reply into the folder, in one step."""
        streamed = [[str(piece), piece.thinking] for piece in pieces]
        self._write(request.key, {"request": request.summary, "reply": asdict(reply), "pieces": streamed})

    def recorded(self, request: Request, pieces: Generator[Piece, None, Reply]) -> Generator[Piece, None, Reply]:
        """Pass a stream on, and keep it when it has come to its end."""
        stream, passed = Stream(pieces), []
        try:
            for piece in stream:
                passed.append(piece)
                yield piece
        finally:
            stream.close()
        self.keep(request, stream.reply, passed)
        return stream.reply

    def fetched(self, url: str, fetch: Callable[[], bytes]) -> bytes:
        """The bytes behind a picture's URL: fetched and kept, or in replay mode as they were kept."""
        key = hashlib.sha256(f"bytes at {url}".encode()).hexdigest()
        if not self.replay:
            data = fetch()
            self._write(key, {"url": url, "bytes": base64.b64encode(data).decode()})
            return data
        if self._path(key).is_file():
            return base64.b64decode(json.loads(self._path(key).read_text(encoding="utf-8"))["bytes"])
        raise CacheMiss(f"COOKBOOK_CACHE_MODE=replay: {self.folder} does not have the picture at {url}")

    def name_at(self, address: str, ask: Callable[[], str]) -> str:
        """The name of the model that is served at an address: asked for and kept, or in replay mode as it was kept."""
        key = hashlib.sha256(f"name at {address}".encode()).hexdigest()
        if not self.replay:
            name = ask()
            self._write(key, {"address": address, "name": name})
            return name
        if self._path(key).is_file():
            return json.loads(self._path(key).read_text(encoding="utf-8"))["name"]
        raise CacheMiss(f"COOKBOOK_CACHE_MODE=replay: nothing in {self.folder} was recorded from {address}")

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def _write(self, key: str, entry: dict) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False) as file:
            json.dump(entry, file, ensure_ascii=False, indent=1, default=str)
        os.replace(file.name, path)

    def _missing(self, summary: dict, absent: bool) -> str:
        what = "no reply" if absent else "no readable reply"
        words, sizes = summary["prompt"], summary["pictures"]
        shown = words if len(words) <= 80 else f"{words[:80].rsplit(' ', 1)[0]} ..."
        seen = f"{len(sizes)} picture{'s' * (len(sizes) != 1)}" + (f" ({', '.join(sizes[:8])})" if sizes else "")
        settings = {name: value for name, value in summary["settings"].items() if value not in (None, [])}
        return (
            f"{what} in {self.folder} for the request {shown!r} with {seen} to {summary['model']}, settings {settings}; "
            "run it once with the model and without the replay mode"
        )


def folder_fingerprint(folder: Path) -> str:
    """A digest of a checkpoint's folder: names and sizes of its files, and the first and last megabyte of each.

    A trained model's weights differ everywhere, so that two of one size are told apart without reading all of them.
    """
    digest, part = hashlib.sha256(), 2**20
    for path in sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors", ".jinja", ".txt", ".model")):
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(part)
            file.seek(max(len(head), size - part))
            digest.update(f"{path.name} {size}".encode() + head + file.read(part))
    return digest.hexdigest()[:16]
