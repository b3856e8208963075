"""A batch's journal: a file of JSON lines, one for each reply, with which an interrupted batch goes on where it was.

A line is written as soon as its reply is there. A request is known by its key (see `cache.describe`), not by its place,
so that a batch may grow or be reordered between runs; of a request that stands in a batch several times each reply is
used once. A line that a crash cut off is passed over, and its request asked again.
"""

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

from .cache import Request
from .reply import Reply


class Journal:
    """The replies of earlier runs, and a file to which those of this run are added.

    Raises ValueError when the file is there and is no journal.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self._replies: dict[str, list[Reply]] = defaultdict(list)
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        lines = text.splitlines()
        for line in lines:
            self._read(line)
        if lines and not self._replies and len(lines) > 1:
            raise ValueError(f"journal: {self.path} is there, and is no journal of a batch; name another file")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a", encoding="utf-8")
        if text and not text.endswith("\n"):  # the last line was cut off
            self._file.write("\n")

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self._replies[entry["key"]].append(Reply(**entry["reply"]))
        except (ValueError, KeyError, TypeError):
            pass

    def take(self, request: Request) -> Reply | None:
        """One of the replies that earlier runs wrote for a request, each given once; None when there is none left."""
        replies = self._replies.get(request.key)
        return replies.pop(0) if replies else None

    def add(self, request: Request, reply: Reply) -> None:
        """Write a reply down at once."""
        entry = {"key": request.key, "prompt": request.summary["prompt"][:200], "reply": asdict(reply)}
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
