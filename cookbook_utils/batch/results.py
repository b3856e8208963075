"""The output of a batch: a JSONL file with one line for each input, in the order of the inputs once it is done.

    {"id": "a.png", "key": "...", "reply": {"text": "...", "usage": {...}, ...}}
    {"id": "b.png", "key": "...", "error": "no such file: b.png"}

While a batch runs its lines are added as they come, so that nothing is lost when it is interrupted. At the end the file
is written anew, whole or not at all: one line for each input of this run, and none of earlier inputs that are gone.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .requests import Request


@dataclass(frozen=True)
class Summary:
    """How a batch went: inputs, of them answered (`before`: already by an earlier run), and failed."""

    inputs: int
    answered: int
    before: int
    failed: int

    def __str__(self) -> str:
        again = "; the same command again asks for those that failed" if self.failed else ""
        return f"{self.inputs} inputs: {self.answered} answered ({self.before} by an earlier run), {self.failed} failed{again}"


class Results:
    """An output file with what earlier runs found out. Raises ValueError when it is there and is something else."""

    def __init__(self, path: str | Path, requests: list[Request], keys: list[str]):
        self.path, self.requests, self.keys = Path(path).expanduser(), requests, keys
        self.lines: dict[str, dict] = {}  # by key
        self._read()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.lines |= {key: _line(request, key, error=request.error) for request, key in zip(requests, keys) if request.error}
        self.before = sum("reply" in self.lines.get(key, {}) for key in keys)
        self._file = self.path.open("a", encoding="utf-8")

    def _read(self) -> None:
        text = self.path.read_text(encoding="utf-8", errors="replace") if self.path.exists() else ""
        lines = [line for line in text.split("\n") if line.strip()]
        for line in lines:
            try:
                entry = json.loads(line)
                if isinstance(entry["reply"], dict):  # what failed is asked again
                    self.lines[entry["key"]] = entry
            except (ValueError, KeyError, TypeError):
                continue
        ours = self.lines or any('"key"' in line and '"error"' in line for line in lines)
        if len(lines) > 1 and not ours:
            raise ValueError(f"output: {self.path} is there, and is no output of a batch; name another file")
        if text and not text.endswith("\n"):  # the last line was cut off
            with self.path.open("a", encoding="utf-8") as file:
                file.write("\n")

    def missing(self) -> list[int]:
        """Indices of the requests that have neither a reply nor an error of their own."""
        return [index for index, key in enumerate(self.keys) if key not in self.lines]

    def add(self, index: int, *, reply: dict | None = None, error: str = "") -> None:
        """Write down one outcome, at once."""
        line = _line(self.requests[index], self.keys[index], reply=reply, error=error)
        self.lines[self.keys[index]] = line
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self, lost: str) -> Summary:
        """Write the file anew in the order of the inputs; `lost` is the error of those of which nothing was heard."""
        self._file.close()
        for index in self.missing():
            self.lines[self.keys[index]] = _line(self.requests[index], self.keys[index], error=lost)
        whole = [self.lines[key] for key in self.keys]
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole), encoding="utf-8")
        os.replace(new, self.path)
        answered = sum("reply" in line for line in whole)
        return Summary(len(whole), answered, self.before, len(whole) - answered)


def _line(request: Request, key: str, *, reply: dict | None = None, error: str = "") -> dict:
    return {"id": request.id, "key": key, **({"reply": reply} if reply else {"error": error})}
