"""The inputs of a batch: each picture of a folder with one prompt, or each line of a JSONL file.

A line is one of these; pictures and videos are paths (from the file's own folder) or URLs:

    {"id": "a", "prompt": "What is this?", "images": ["a.png", "b.png"], "system": "Be brief."}
    {"id": "b", "prompt": "What happens?", "video": "b.mp4"}
    {"id": "c", "messages": [{"role": "user", "content": [{"type": "image", "image": "c.png"}, {"type": "text", "text": "?"}]}]}

`custom_id` stands for `id` too; without either it is the line's number. A line that is no request becomes a `Request`
with an error: it is not sent, and has its line in the output like all others.
"""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
KEYS = {"id", "custom_id", "prompt", "image", "images", "video", "fps", "num_frames", "system", "messages"}


@dataclass(frozen=True)
class Request:
    """One input: its id, what `ask` or `chat` is to be called with, or why it is no request."""

    id: str
    arguments: dict
    error: str = ""

    def key(self, model: str, settings: dict) -> str:
        """How its reply is known again: by model, settings, words, and path, size and time of its files."""
        text = json.dumps([model, settings, self.id, _stamped(self.arguments)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_requests(source: str | Path, *, prompt: str | None = None, system: str | None = None) -> list[Request]:
    """Read the inputs of a folder (with one prompt for all) or of a JSONL file.

    prompt, system: for a folder; in a file, for lines that bring none of their own.
    Raises FileNotFoundError, ValueError when there is nothing to ask.
    """
    path = Path(source).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"source: no such folder or file: {source}")
    common = {name: value for name, value in (("prompt", prompt), ("system", system)) if value}
    requests = _of_folder(path, common) if path.is_dir() else _of_file(path, common)
    if not requests:
        what = f"no picture ({', '.join(SUFFIXES)})" if path.is_dir() else "no line"
        raise ValueError(f"source: {what} in {source}")
    return _with_own_ids(requests)


def _of_folder(folder: Path, common: dict) -> list[Request]:
    if "prompt" not in common:
        raise ValueError("prompt: expected the question about each picture of the folder, got none")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [Request(path.relative_to(folder).as_posix(), {**common, "images": [str(path.resolve())]}) for path in files]


def _of_file(file: Path, common: dict) -> list[Request]:
    lines = file.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    return [_read(line, number, file.resolve().parent, common) for number, line in enumerate(lines, 1) if line.strip()]


def _read(line: str, number: int, folder: Path, common: dict) -> Request:
    name = str(number)
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict):
            raise TypeError(f"expected an object, got {type(entry).__name__}")
        name = str(entry.get("id", entry.get("custom_id", number)))
        return Request(name, _arguments(entry, folder, common))
    except (ValueError, TypeError) as error:
        return Request(name, {"line": line[:500]}, f"line {number}: {error}")


def _arguments(entry: dict, folder: Path, common: dict) -> dict:
    if unknown := sorted(entry.keys() - KEYS):
        raise ValueError(f"unknown key {', '.join(unknown)}; known: {', '.join(sorted(KEYS))}")
    if "messages" in entry:
        if more := sorted(entry.keys() - {"id", "custom_id", "messages"}):
            raise ValueError(f"{', '.join(more)} beside messages, which have to bring it")
        return {"messages": _located(entry["messages"], folder)}
    one = [entry["image"]] if "image" in entry else []
    own = {name: value for name, value in entry.items() if name not in ("id", "custom_id", "image", "images")}
    arguments = {**common, **own, "images": [_place(path, folder) for path in [*one, *_list(entry.get("images", []))]]}
    if "video" in arguments:
        arguments["video"] = _place(arguments["video"], folder)
    if not arguments.get("prompt"):
        raise ValueError("neither prompt nor messages")
    return arguments


def _list(value) -> list:
    return [value] if isinstance(value, str) else list(value)


def _place(path, folder: Path):
    """A path from the file's own folder; URLs stay."""
    return path if not isinstance(path, str) or ":" in path.split("/")[0] else str(folder / path)


def _located(node, folder: Path):
    """Messages whose pictures and videos have whole paths."""
    if isinstance(node, list):
        return [_located(item, folder) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _place(value, folder) if key in ("image", "video") and isinstance(value, str) else _located(value, folder)
        for key, value in node.items()
    }


def _stamped(node):
    """The same with size and time beside each path, so that another picture under an old name is another request."""
    if isinstance(node, dict):
        return {key: _stamped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_stamped(item) for item in node]
    if isinstance(node, str) and node.startswith("/") and len(node) < 4096 and (path := Path(node)).is_file():
        return [node, path.stat().st_size, path.stat().st_mtime_ns]
    return node


def _with_own_ids(requests: list[Request]) -> list[Request]:
    """An id that stands twice would hide a reply behind another: the later ones become errors."""
    seen, checked = Counter(), []
    for request in requests:
        seen[request.id] += 1
        if seen[request.id] > 1:
            name = f"{request.id} ({seen[request.id]})"
            request = Request(name, request.arguments, request.error or f"the id {request.id!r} stands more than once")
        checked.append(request)
    return checked
