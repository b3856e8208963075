"""Rows for the training: a sample's pictures once, and as many independent questions behind them as fit.

A row is the prefix `<|im_start|>user\\n<|vision_start|>...<|vision_end|>` (segment 0) followed by the
questions with their answers (segments 1, 2, ...). A question sees the prefix and itself only, and its
positions continue the prefix's, so each is exactly what the chat template would have written for that
question alone; the pictures are encoded once for all of them. In a conversation of several rounds the prefix is all that was
said before the last answer (`Sample.between`).

Beside the texts a row says where to look: `read` for the ends of the phrases that name something, `write`
for each token of an answer. The first token of a row stands for "nothing here".
"""

from __future__ import annotations

import json
import re
from itertools import zip_longest

import numpy as np

from .dense import owners_of
from .model import TOKEN_PIXELS, grid_of
from .samples import Glyph, Sample
from .tokenizer import CHAT_TEMPLATE
from .turns import Turn

SYSTEM = "You are a helpful assistant."
ASSISTANT = "<|im_end|>\n<|im_start|>assistant\n"


COORDINATES = re.compile(r"""\[[-\d., ]+\]|data-bbox="[\d ]+"|\(\d+(?:, ?\d+)+\)""")  # in JSON, in QwenVL HTML and Markdown
FINE = 0.25  # what the last digit of a coordinate counts


def token_weights(answer: str, spans: list[tuple[int, int]]) -> np.ndarray:
    """Loss weights of an answer's tokens, which cover `spans` of its characters; very short answers count more.

    The last digit of a coordinate of two digits or more counts a quarter: it is finer than what can be seen. In a code, a
    time or a price it counts like any other.

    >>> token_weights('[12, 7] 34', [(i, i + 1) for i in range(10)]).tolist()
    [1.0, 1.0, 0.25, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    weights = np.ones(len(spans), np.float32) * (3.0 if len(spans) <= 4 else 1.0)
    last = {found.start() + number.end() - 1 for found in COORDINATES.finditer(answer) for number in re.finditer(r"\d+\d", found[0])}
    weights[[start in last and end == start + 1 for start, end in spans]] = FINE
    return weights


class Packer:
    """Turns a sample into one row."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.pads = {name: tokenizer.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")}
        self.pad = tokenizer.pad_token_id
        self.headers: dict[str, str] = {}

    def encode(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False).input_ids

    def header(self, system: str, tools: list[dict]) -> str:
        """What the chat template writes before the user's first picture."""
        key = json.dumps([system, tools])
        if key not in self.headers:
            turns = [{"role": "system", "content": system}] * bool(system) + [{"role": "user", "content": "\0"}]
            text = self.tokenizer.apply_chat_template(turns, tools=tools or None, chat_template=CHAT_TEMPLATE, tokenize=False)
            self.headers[key] = text.partition("\0")[0]
        return self.headers[key]

    def prefix(self, sample: Sample, grid: tuple[int, int], system: str = "", bare: bool = False) -> tuple:
        """Token ids, M-RoPE positions `(3, n)` and the index of each picture's first visual token.

        `bare`: without the second pair of vision tokens around a whole clip, which some versions of the processor leave.
        """
        rows, columns = grid
        h, w = np.divmod(np.arange(rows * columns), columns)
        pad, ids, positions, firsts = self.pads["video" if sample.seconds else "image"], [], [], []

        def write(text: str) -> None:
            more = self.encode(text)
            start = int(positions[-1].max()) + 1 if positions else 0
            ids.extend(more)
            positions.append(np.tile(np.arange(start, start + len(more)), (3, 1)))

        around = ("<|vision_start|>", "<|vision_end|>") if sample.seconds and not bare else ("", "")
        pending = self.header(system or sample.system, sample.tools) + around[0]
        shown = pair_times(sample) if sample.seconds else sample.pictures
        for time_s, after in zip_longest(shown, sample.between, fillvalue=""):
            write(pending + (f"<{time_s:.1f} seconds>" if sample.seconds else "") + "<|vision_start|>")
            firsts.append(len(ids))
            ids.extend([pad] * rows * columns)
            positions.append(np.stack([np.zeros_like(h), h, w]) + int(positions[-1].max()) + 1)
            pending = "<|vision_end|>" + after
        write(pending + around[1])
        return ids, np.concatenate(positions, 1), firsts

    def segment(self, turns: list[Turn]) -> tuple[list[int], np.ndarray, list, list]:
        """Token ids, loss weights, and what to look at `(position, regions or tokens of the segment)` while reading and while writing."""
        ids, weights, read, write = [], [], [], []
        for index, turn in enumerate(turns):
            asked, spans = self.spans(("\n<|im_start|>user\n" if index else "") + turn.prompt + ASSISTANT)
            answer, starts = self.spans(turn.answer + "<|im_end|>")
            read += [(len(ids) + at, [None, *regions]) for at, regions in mentioned(turn, spans)]
            looks = spoken(turn, starts)
            for _, regions in looks:  # an option's end has seen both its letter and its text, a phrase's end what it stands for
                regions[:] = [len(ids) + ends_at(turn, r, spans) if isinstance(r, str) else r for r in regions]
            write += [(len(ids) + len(asked) - 1 + at, regions) for at, regions in looks]
            ids += asked + answer
            weights += [np.zeros(len(asked), np.float32), token_weights(turn.answer, starts)]
        return ids, np.concatenate(weights), read, write

    def spans(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids and the characters `(start, end)` of each."""
        made = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return made.input_ids, made.offset_mapping

    def row(self, sample: Sample, rng: np.random.Generator, grid: tuple[int, int], length: int) -> dict:
        """Arrays `ids`, `weights`, `segments` `(T,)`, `positions` `(3, T)`, and lists of `(position, key, share)`: what is to be
        looked at while reading (`read`) and while writing, by either pair of heads (`first`, `rest`)."""
        plain = not sample.system and not sample.tools and rng.random() < 0.1
        ids, prefix_positions, firsts = self.prefix(sample, grid, SYSTEM if plain else "", bare=rng.random() < 0.5)
        if len(ids) >= length:
            taken = f"the pictures and the system turn alone have {len(ids)} tokens"
            raise ValueError(f"length: {taken}, a row has {length}; does the tokenizer know the texts of the tools?")
        keys = {None: 0, **{key: firsts[picture] + token for key, (picture, token) in own_tokens(sample).items()}}
        start = int(prefix_positions.max()) + 1
        weights, segments, positions = [np.zeros(len(ids), np.float32)], [0] * len(ids), [prefix_positions]
        turns, looks = list(sample.turns), {"read": [], "first": [], "rest": []}
        while turns:
            now = [turns.pop() for _ in range(min(len(turns), 2 if rng.random() < 0.08 else 1))]
            more, weight, *looked = self.segment(now)
            if len(ids) + len(more) > length:
                continue
            for found, names in zip(looked, (("read",), ("first", "rest")), strict=True):
                for at, regions in found:
                    places = [place_of(region, keys, len(ids)) for region in regions]
                    parts = first_and_rest(places) if all(isinstance(region, Glyph) for region in regions) else (places, places)
                    for name, part in zip(names, parts, strict=False):
                        looks[name] += [(len(ids) + at, place, part.count(place) / len(part)) for place in dict.fromkeys(part)]
            positions.append(np.tile(np.arange(start, start + len(more)), (3, 1)))
            segments += [segments[-1] + 1] * len(more)
            weights.append(weight)
            ids = ids + more
        rest = length - len(ids)
        return {
            "ids": np.array(ids + [self.pad] * rest),
            "weights": np.concatenate([*weights, np.zeros(rest, np.float32)]),
            "segments": np.array(segments + [segments[-1] + 1] * rest),
            "positions": np.concatenate([*positions, np.zeros((3, rest), int)], 1),
            **looks,
        }


def pair_times(sample: Sample) -> list[float]:
    """The time of each pair of a clip's frames, in seconds: the mean of both, as the processor writes it."""
    return [(a + b) / 2 for a, b in zip(sample.seconds[::2], sample.seconds[1::2], strict=True)]


def own_tokens(sample: Sample) -> dict[int, tuple[int, int]]:
    """For each region and glyph of a sample, by its `id`, the picture and the visual token that stand for it."""
    size, step = sample.pictures[0].size, 2 if sample.seconds else 1
    found = {}
    for page in sorted({region.page for region in sample.regions}):
        here = [region for region in sample.regions if region.page == page]
        tokens = owners_of(np.array([region.box_xyxy for region in here], float), size)
        found.update((id(region), (page // step, int(token))) for region, token in zip(here, tokens, strict=True))
    rows, columns = grid_of(size)
    for glyph in sample.glyphs:
        x, y = (glyph.box_xyxy[0] + glyph.box_xyxy[2]) / 2, (glyph.box_xyxy[1] + glyph.box_xyxy[3]) / 2
        column, row = min(max(int(x / TOKEN_PIXELS), 0), columns - 1), min(max(int(y / TOKEN_PIXELS), 0), rows - 1)
        found[id(glyph)] = (glyph.page // step, row * columns + column)
    return found


def first_and_rest(places: list[int]) -> tuple[list[int], list[int]]:
    """Where the letters of a word stand, as the two pairs of heads are to look at them: where its first letter stands, and
    elsewhere, if any stand elsewhere.

    >>> first_and_rest([7, 7, 8, 8, 9]), first_and_rest([7, 7])
    (([7], [8, 8, 9]), ([7], [7]))
    """
    return places[:1], [place for place in places if place != places[0]] or places[:1]


def place_of(looked_at, keys: dict, start: int) -> int:
    """Where in a row a region's token lies (`keys`; the first for none), or a token of the segment that begins at `start`."""
    return start + looked_at if isinstance(looked_at, int) else keys[looked_at if looked_at is None else id(looked_at)]


def ends_at(turn: Turn, phrase: str, spans: list[tuple[int, int]]) -> int:
    """The last token of a phrase of the prompt."""
    shift = spans[-1][1] - len(ASSISTANT) - len(turn.prompt)  # a later turn has words before its prompt
    end = shift + turn.prompt.index(phrase) + len(phrase)
    return next(i for i, (_, last) in enumerate(spans) if last >= end)


def mentioned(turn: Turn, spans: list[tuple[int, int]]) -> list[tuple[int, list]]:
    """The last token of each phrase that a prompt mentions, and the regions that the phrase stands for."""
    return [(ends_at(turn, phrase, spans), regions) for phrase, regions in turn.mentions]


def spoken(turn: Turn, spans: list[tuple[int, int]]) -> list[tuple[int, list]]:
    """For each token of an answer the region that it speaks of, all letters that it reads; before a word or number, all that the question mentions."""
    if not turn.shown:
        named = {id(r): r for _, regions in turn.mentions for r in regions}
        return [(0, [None, *named.values()])] if turn.mentions else []
    starts = np.array([start for start, _ in turn.shown])
    lengths = [len(turn.answer[first:last].rstrip()) for first, last in spans]  # a space belongs to the next letter
    ends = [np.searchsorted(starts, (first, first + max(n - 1, 0)), "right") - 1 for (first, _), n in zip(spans, lengths, strict=True)]
    shown = [region for _, region in turn.shown]
    return [(i, [shown[a], *(more for more in shown[a + 1 : b + 1] if isinstance(more, Glyph))]) for i, (a, b) in enumerate(ends)]
