"""Recorded episodes on disk: one tar file per few dozen episodes, read piece by piece.

A shard holds per episode `NAME.json.gz` (the record) and `NAME_00.png`, `NAME_01.png`, ... (the screen at each of its
steps), uncompressed beside each other, so that one step costs one short read. Shards appear under their names only when
they are whole. Shards of seeds that no training may see lie in the sub-folder `unseen`.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

__all__ = ["FOLDER_VARIABLE", "UNSEEN", "Library", "library", "write_shard"]

FOLDER_VARIABLE = "COOKBOOK_SCREENS"
UNSEEN = "unseen"
_RECORD = ".json.gz"


@dataclass(frozen=True)
class Piece:
    """A file within a shard: its place and length in bytes."""

    shard: Path
    offset: int
    length: int

    def read(self) -> bytes:
        with self.shard.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


@dataclass
class Recorded:
    """One recorded episode: its record, and the screen at each step."""

    record: Piece | None = None
    screens: list[Piece] = field(default_factory=list)

    def load(self) -> dict:
        """The record, as the recorder wrote it."""
        return json.loads(gzip.decompress(self.record.read()))

    def screen(self, step: int) -> Image.Image:
        """What was seen before a step."""
        return Image.open(io.BytesIO(self.screens[step].read())).convert("RGB")


def write_shard(path: Path, episodes: Iterable[tuple[str, dict, list[Image.Image]]]) -> int:
    """Write episodes `(name, record, screens)` into a shard, and return how many steps they have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished, steps = path.with_suffix(f".{os.getpid()}.part"), 0
    with tarfile.open(unfinished, "w") as tar:
        for name, record, screens in episodes:
            _add(tar, name + _RECORD, gzip.compress(json.dumps(record, ensure_ascii=False).encode(), mtime=0))
            for step, screen in enumerate(screens):
                data = io.BytesIO()
                screen.save(data, "PNG", optimize=True)
                _add(tar, f"{name}_{step:02d}.png", data.getvalue())
            steps += len(screens)
    os.replace(unfinished, path)
    return steps


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


class Library:
    """The shards of a folder; episodes by environment (the shard's name up to the first `_`) and task.

    Raises FileNotFoundError that names the command where there are none.
    """

    def __init__(self, folder: Path):
        self.folder, self.episodes = folder, {}
        for shard in sorted(folder.glob("*.tar")):
            for name, episode in _listed(shard).items():
                tasks = self.episodes.setdefault(shard.name.partition("_")[0], {})
                tasks.setdefault(name.rpartition("_")[0], []).append(episode)
        if not self.episodes:
            raise FileNotFoundError(
                f"no recorded screens in {folder}: make some with python -m cookbook_utils.tiny.screens FOLDER "
                f"(with --unseen for {UNSEEN}), and name the folder in {FOLDER_VARIABLE}"
            )

    def has(self, environment: str) -> bool:
        """Whether there are shards of an environment."""
        return environment in self.episodes

    def draw(self, rng: np.random.Generator, environment: str, shares: Mapping[str, float] = MappingProxyType({})) -> Recorded:
        """An episode: a task by its share, 1 where `shares` names none, and each of its episodes equally often.

        Raises FileNotFoundError where no shard is of that environment.
        """
        if environment not in self.episodes:
            raise FileNotFoundError(f"{self.folder} has shards of {', '.join(self.episodes)}, none of {environment}")
        tasks = self.episodes[environment]
        weights = np.array([shares.get(task, 1.0) for task in tasks])
        episodes = list(tasks.values())[int(rng.choice(len(tasks), p=weights / weights.sum()))]
        return episodes[int(rng.integers(len(episodes)))]

    def steps(self) -> dict[str, int]:
        """How many steps there are of each environment."""
        return {
            name: sum(len(episode.screens) for episodes in tasks.values() for episode in episodes)
            for name, tasks in self.episodes.items()
        }


def _listed(shard: Path) -> dict[str, Recorded]:
    found: dict[str, Recorded] = {}
    with tarfile.open(shard) as tar:
        for entry in tar:
            piece = Piece(shard, entry.offset_data, entry.size)
            if entry.name.endswith(_RECORD):
                found.setdefault(entry.name.removesuffix(_RECORD), Recorded()).record = piece
            else:
                found.setdefault(entry.name.rpartition("_")[0], Recorded()).screens.append(piece)
    return found


@lru_cache(maxsize=4)
def _opened(folder: Path) -> Library:
    return Library(folder)


def library(folder: str | Path | None = None, *, unseen: bool = False) -> Library:
    """The shards of a folder, by default of the one that the environment variable COOKBOOK_SCREENS names.

    unseen: those of seeds that no training may see. Raises FileNotFoundError that names the command where there are none.
    """
    folder = folder or os.environ.get(FOLDER_VARIABLE)
    if not folder:
        raise FileNotFoundError(
            f"folder: screens are recorded beforehand: python -m cookbook_utils.tiny.screens FOLDER, then set {FOLDER_VARIABLE} to it"
        )
    return _opened(Path(folder) / UNSEEN if unseen else Path(folder))
