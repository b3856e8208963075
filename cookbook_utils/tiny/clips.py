"""Clips of moving artwork, with exact ground truth: the video family of the embedded model's world.

A clip lasts 2-12 whole seconds. One to three things enter, leave, move, grow, shrink, turn around, change into
another thing, appear or disappear, and captions are shown for a while. Every event begins and ends at a whole second:
the model sees two frames a second, merged by twos, so that each second of a clip has visual tokens and one time stamp
of its own (`<0.2 seconds>` for second 0, `<1.2 seconds>` for second 1, ...).

Units: a layout is in pixels of the frame that the model sees (`size`); drawn at `scale`, everything is that many times
as large. What lies where follows from the time alone, whatever the scale and the frame rate. An event that happens at
once (appear, disappear, change) happens at its start; the second after it is the event's.

`Clip.write` needs PyAV, captions need the fonts that come with matplotlib; both are imported when they are used.
Sources: transformers, `Qwen3VLVideoProcessor` (which frames of a file are seen), `Qwen3VLProcessor` (time stamps).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ..coordinates import to_grid
from .artwork import things
from .clip_parts import Actor, Caption, Event, Look, Stretch, at_rest
from .page_words import ADJECTIVES, NOUNS
from .samples import Glyph, Region, Sample
from .scenes import background, cover
from .turns import pick
from .typesetting import FAMILIES, Font, text_width

SIZES = {(128, 128): 3, (160, 128): 2}
KINDS = (*(thing.name for thing in things()), "caption")
FPS = 2.0  # frames a second that the model sees
SHORTEST, LONGEST = 2, 12  # seconds
EXTENT = (45, 80)  # longer side of a thing, pixels
SPEED = 40  # pixels a second at most
SEEN = 0.3  # share of a thing's box inside the frame from which on it counts as seen
QUESTIONS = 12  # asked about a clip; as many as fit into a row are trained on

MIDDLE = {"move": 0.4, "change": 0.2, "grow": 0.14, "shrink": 0.14, "turn": 0.12}  # what may happen to a thing that is there
COMES, GOES, AT_ONCE = ("enter", "enter", "appear"), ("leave", "leave", "disappear"), ("appear", "disappear", "change")
STEPS = {"left": (-1, 0), "top": (0, -1), "right": (1, 0), "bottom": (0, 1)}
SHORT_WORDS = tuple(word for word in (*NOUNS, *ADJECTIVES) if len(word) <= 6)
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
PAPERS = (  # ink, paper, whether the paper is a bar across the whole frame
    ("white", (0, 0, 0, 190), True), ("black", (255, 255, 255, 215), True), ("#ffe14a", (10, 20, 70, 220), True),
    ("white", (190, 30, 40, 255), False), ("black", (255, 225, 90, 255), False), ("white", (20, 90, 170, 255), False),
    ("black", (245, 245, 245, 255), False), ("white", (25, 25, 30, 255), False),
)  # fmt: skip


@dataclass
class Clip:
    """A clip and all that is true of it. `size` `(width, height)` and all boxes are in pixels at scale 1, times in seconds.

    `cast`: the actors, then the captions; `times`: of the frames that `frames` draws, at `scale`.
    """

    size: tuple[int, int]
    seconds: int
    ground: Image.Image
    actors: list[Actor]
    captions: list[Caption]
    events: list[Event]
    times: list[float] = field(default_factory=list)
    scale: int = 1

    @property
    def cast(self) -> list[Actor | Caption]:
        return [*self.actors, *self.captions]

    @cached_property
    def frames(self) -> list[Image.Image]:
        return [self.frame(time_s) for time_s in self.times]

    @cached_property
    def _scaled_ground(self) -> Image.Image:
        return self.ground.resize([side * self.scale for side in self.size], Image.Resampling.BICUBIC)

    def frame(self, time_s: float) -> Image.Image:
        """The frame at a time, drawn at the clip's scale."""
        picture = self._scaled_ground.copy()
        for actor in self.actors:
            if look := actor.at(time_s):
                look.draw(picture, self.scale)
        for caption in self.captions:
            if caption.start <= time_s < caption.end:
                caption.draw(picture, self.scale)
        return picture

    def seen(self, time_s: float) -> list[tuple[int, int, tuple]]:
        """Who is seen at a time, captions aside: index in the cast, thing and box in pixels, from left to right."""
        looks = [(who, look) for who, actor in enumerate(self.actors) if (look := actor.at(time_s))]
        boxes = [(who, look.thing, *look.seen(self.size)) for who, look in looks]
        return sorted(((who, thing, box) for who, thing, box, share in boxes if share >= SEEN), key=lambda s: s[2])

    def boxes(self, time_s: float) -> list[dict]:
        """The things at a time as `{"time", "bbox_2d" (0-1000), "label"}`, from left to right."""
        items = ((things()[thing].name, to_grid(box, self.size).tolist()) for _, thing, box in self.seen(time_s))
        return [{"time": float(time_s), "bbox_2d": box, "label": name} for name, box in items]

    @cached_property
    def spots(self) -> dict[tuple[int, int], Region]:
        """Where each of the cast is in each second that it is seen in: `(who, second)` to the region in its first such frame."""
        found: dict[tuple[int, int], Region] = {}
        for page, time_s in enumerate(self.times):
            here = [(who, things()[thing].name, box) for who, thing, box in self.seen(time_s)]
            shown = [(who, c) for who, c in enumerate(self.captions, len(self.actors)) if c.start <= time_s < c.end]
            for who, kind, box in [*here, *((who, "caption", caption.box()) for who, caption in shown)]:
                region = Region(kind, tuple(edge * self.scale for edge in box), page)
                found.setdefault((who, int(time_s)), region)
        return found

    def spot(self, who: int, second: int) -> Region | None:
        """Where one of the cast is in a second, or in the nearest second that it is seen in, the earlier one first."""
        seconds = [at for one, at in self.spots if one == who]
        nearest = min(seconds, key=lambda at: (abs(at - second), at), default=None)
        return None if nearest is None else self.spots[who, nearest]

    def spots_of(self, thing: int) -> list[Region]:
        """Where a thing is, second by second."""
        name, actors = things()[thing].name, range(len(self.actors))
        return [region for (who, _), region in self.spots.items() if who in actors and region.kind == name]

    def spots_at(self, second: int) -> list[Region]:
        """All that is seen in a second."""
        return [region for (_, at), region in self.spots.items() if at == second]

    @cached_property
    def things_seen(self) -> list[int]:
        """The different things that are seen at any time, in the order of their coming."""
        return list(dict.fromkeys(thing for half in range(2 * self.seconds) for _, thing, _ in self.seen(half / 2)))

    @cached_property
    def written(self) -> dict[tuple[int, int], list[Glyph]]:
        """The characters of each caption in each second that it is shown in, in the frame of its region."""
        pages = {key: region.page for key, region in self.spots.items() if region.kind == "caption"}
        return {key: [self._glyph(*part, page) for part in self.cast[key[0]].glyphs()] for key, page in pages.items()}

    def _glyph(self, character: str, box: tuple, page: int) -> Glyph:
        return Glyph(character, tuple(edge * self.scale for edge in box), page)

    def truth(self) -> dict:
        """Events, captions and boxes (0-1000, once a second) as plain dicts; times in seconds."""
        return {
            "seconds": self.seconds,
            "events": [
                {"start": float(e.start), "end": float(e.end), "description": e.sentence, "kind": e.kind} for e in self.events
            ],
            "captions": [{"start": float(c.start), "end": float(c.end), "text": c.text} for c in self.captions],
            "objects": [item for second in range(self.seconds) for item in self.boxes(second)],
        }

    def write(self, path: str | Path, *, fps: int = 12) -> Path:
        """Writes the clip as a video file (H.264, or MPEG-4 where PyAV lacks it), at its scale, `fps` frames a second."""
        import av

        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream(codec, rate=fps, options={"crf": "18"} if codec == "libx264" else {"qmin": "2", "qmax": "4"})
            stream.width, stream.height = (side * self.scale for side in self.size)
            stream.pix_fmt = "yuv420p"
            for index in range(self.seconds * fps):
                out.mux(stream.encode(av.VideoFrame.from_image(self.frame(index / fps))))
            out.mux(stream.encode())
        return Path(path)


# --- making one up ---------------------------------------------------------------------------


def render(
    rng: np.random.Generator, size=(128, 128), level=1.0, *, seconds: int | None = None, scale: int = 1, fps: float = FPS
) -> Clip:
    """Makes up a clip of `seconds` (2-12, drawn when None): one event at level 0, one to four at level 1.

    size: `(width, height)` of the frame that the model sees, 128 or more; scale and fps: how `frames` draws it, which
    changes nothing else: the same generator gives the same clip. Raises ValueError for an argument outside its range.

    >>> clip = render(np.random.default_rng(0), level=0.5, scale=4, fps=12)
    >>> clip.frames[0].size, len(clip.frames) == 12 * clip.seconds
    ((512, 512), True)
    """
    if min(size) < 128 or not 0 <= level <= 1:
        raise ValueError(f"size must be at least 128 x 128 and level 0 to 1, got size {size!r} and level {level!r}")
    seconds = int(rng.integers(SHORTEST, 5 + round((LONGEST - 4) * level))) if seconds is None else seconds
    if seconds not in range(SHORTEST, LONGEST + 1):
        raise ValueError(f"seconds must be a whole number from {SHORTEST} to {LONGEST}, got {seconds!r}")
    ground = background(rng, size)
    wanted = int(rng.integers(1, 2 + round(3 * level)))
    made = None
    while made is None:
        made = make_up(rng, size, seconds, wanted, 1 + round(2 * level))
        wanted = max(1, wanted - int(rng.random() < 0.1))  # a short clip may have no room for so many
    return Clip(tuple(size), seconds, ground, *made, [i / fps for i in range(round(seconds * fps))], scale)


def make_up(rng, size: tuple[int, int], seconds: int, wanted: int, most: int) -> tuple | None:
    """Tries once to make up actors, captions and `wanted` events, with at most `most` things; None when they do not fit."""
    shown = int(rng.binomial(min(wanted - (wanted > 1), 2), 0.3))
    counts = np.bincount(rng.integers(0, most, wanted - shown), minlength=most)
    counts = sorted((int(n) for n in counts if n or rng.random() < 0.15), reverse=True)
    strip = pick(rng, ((0, 30), (size[1] - 30, size[1]))) if shown else (0, 0)
    room = (1, strip[1] + 1 if strip[0] == 0 else 1, size[0] - 1, strip[0] if strip[0] else size[1] - 1)
    stage = Stage(size, room, seconds, len(counts) > 1)
    actors = stage.actors(rng, counts)
    captions = stage.captions(rng, shown, strip)
    if actors is None or captions is None:
        return None
    events = [event for _, own in actors for event in own]
    events += [Event("caption", c.start, c.end, len(actors) + i, text=c.text) for i, c in enumerate(captions)]
    events.sort(key=lambda event: event.start)
    alone = len({event.start for event in events}) == len(events)  # no two begin together, so that their order is clear
    return ([actor for actor, _ in actors], captions, events) if alone else None


@dataclass
class Stage:
    """Where the things of a clip may be at rest (`room`, pixels) and how long it lasts; `shared` by several."""

    size: tuple[int, int]
    room: tuple[float, float, float, float]
    seconds: int
    shared: bool

    def actors(self, rng, counts: list[int]) -> list[tuple[Actor, list[Event]]] | None:
        """A different thing for each number of events; None when no place or time was found for one."""
        kinds, made = iter(rng.permutation(len(things())).tolist()), []
        for count in counts:
            tries = (self.act(rng, kinds, count, len(made)) for _ in range(12))
            fitting = (act for act in tries if act and self.fits(act[0], [actor for actor, _ in made]))
            made.append(next(fitting, None))
            if made[-1] is None:
                return None
        return made

    def act(self, rng, kinds: Iterator[int], count: int, who: int) -> tuple[Actor, list[Event]] | None:
        """One thing with `count` events of its own; None when they do not fit into the room and the time."""
        plan = rng.choice(list(MIDDLE), count, p=list(MIDDLE.values())).tolist()
        if count and rng.random() < (0.5 if count > 1 else 0.3):
            plan[0] = pick(rng, COMES)
        if count and plan[-1] not in COMES and rng.random() < (0.45 if count > 1 else 0.3):
            plan[-1] = pick(rng, GOES)
        look, steps = self.rest(rng, next(kinds), plan), []
        for kind in plan:
            step = look and self.step(rng, kind, look, kinds)
            if not step:
                return None
            steps.append(step)
            look = at_rest(step[1])
        if not plan:
            return look and (Actor([Stretch(0, self.seconds, look, look)]), [])
        starts = timeline(rng, [step[2] for step in steps], self.seconds, int(plan[0] in AT_ONCE))
        return starts and self.play(plan, steps, starts, who)

    def rest(self, rng, thing: int, plan: list[str]) -> Look | None:
        """A thing somewhere in the room, of a size that suits what it is going to do."""
        low, high = EXTENT[0], min(58 if self.shared else EXTENT[1], 0.85 * (self.room[3] - self.room[1]))
        low, high = (low, low + 6) if "grow" in plan else (high - 6, high) if "shrink" in plan else (low, high)
        look = Look(thing, 0, 0, float(rng.uniform(low, high)), mirrored=bool(rng.random() < 0.3))
        reach = look._replace(longer=look.longer * (1.75 if "grow" in plan else 1.4 if "turn" in plan else 1)).box()[2:]
        x, y = (
            rng.uniform(a + half, max(b - half, a + half)) for a, b, half in zip(self.room[:2], self.room[2:], reach, strict=True)
        )
        return look._replace(x=float(x), y=float(y))

    def step(self, rng, kind: str, look: Look, kinds: Iterator[int]) -> tuple[Look, Look, int, str] | None:
        """What an event does to a thing at rest: looks at its start and end, seconds that it takes, and its side."""
        if kind in ("enter", "leave", "move"):
            return self.travel(rng, kind, look)
        seconds, new = 1, look
        if kind == "turn":
            seconds, turned = int(rng.integers(2, 4)), look._replace(angle=float(pick(rng, (-360, 360))))
            eighths = (look._replace(angle=turned.angle * share) for share in (1 / 8, 1 / 4, 3 / 8))
            return (look, turned, seconds, "") if all(map(self.holds, eighths)) else None
        if kind in ("grow", "shrink"):
            seconds, factor = int(rng.integers(1, 4)), float(rng.uniform(1.45, 1.75))
            new = look._replace(longer=look.longer * factor if kind == "grow" else look.longer / factor)
        elif kind == "change":
            new = look._replace(thing=next(kinds))
        return (look, new, seconds, "") if self.holds(new) and 30 <= new.longer <= 88 else None

    def travel(self, rng, kind: str, look: Look) -> tuple[Look, Look, int, str] | None:
        """The step of a thing that moves within the room, or through a side of the frame that no caption lies at."""
        box, whole = look.box(), (0, 0, *self.size)
        edges = self.room if kind == "move" else whole
        away = {side: abs(box[i] - edges[i]) for i, side in enumerate(STEPS)}
        free = [side for i, side in enumerate(STEPS) if abs(self.room[i] - whole[i]) < 2]
        sides = [side for side in STEPS if away[side] >= 24] if kind == "move" else free
        if not sides:
            return None
        side = pick(rng, sides)
        length = box[2] - box[0] if side in ("left", "right") else box[3] - box[1]
        path = float(rng.uniform(24, min(away[side], 80))) if kind == "move" else away[side] + length
        there = look._replace(x=look.x + path * STEPS[side][0], y=look.y + path * STEPS[side][1])
        seconds = math.ceil(path / SPEED) + int(kind == "move" and path > 40 and rng.random() < 0.3)
        return (there, look, seconds, side) if kind == "enter" else (look, there, seconds, side)

    def play(self, plan: list[str], steps: list[tuple], starts: list[int], who: int) -> tuple[Actor, list[Event]]:
        """Puts the steps on the time line, with rests between them."""
        stretches, events, since = [], [], 0
        for kind, (first, last, seconds, side), start in zip(plan, steps, starts, strict=True):
            if kind not in COMES and start > since:
                stretches.append(Stretch(since, start, first, first))
            since = start if kind in AT_ONCE else start + seconds
            if kind not in AT_ONCE:
                stretches.append(Stretch(start, since, first, last))
            other = last.thing if kind == "change" else None
            events.append(Event(kind, start, start + seconds, who, first.thing, side=side, other=other))
        if kind not in GOES and since < self.seconds:
            stretches.append(Stretch(since, self.seconds, at_rest(last), at_rest(last)))
        return Actor(stretches), events

    def holds(self, look: Look) -> bool:
        """Whether a thing lies within the room."""
        x1, y1, x2, y2 = look.box()
        return x1 >= self.room[0] and y1 >= self.room[1] and x2 <= self.room[2] and y2 <= self.room[3]

    def fits(self, actor: Actor, others: list[Actor]) -> bool:
        """Whether an actor never covers more than a tenth of another."""
        for time_s in np.arange(0, self.seconds, 0.5) if others else ():
            looks = (one.at(time_s) for one in (actor, *others))
            own, *boxes = (look and look.box() for look in looks)
            if own and any(box and cover(own, box) > 0.1 for box in boxes):
                return False
        return True

    def captions(self, rng, count: int, strip: tuple[int, int]) -> list[Caption] | None:
        """Captions one after the other, each for two seconds or more (in a very short clip one); None without time for them."""
        least = 2 if self.seconds >= 4 else 1
        starts = timeline(rng, [least] * count, self.seconds)
        if starts is None:
            return None
        font, style = Font(pick(rng, pick(rng, FAMILIES)), int(rng.integers(18, 25))), pick(rng, PAPERS)
        baseline = round((sum(strip) - font.height) / 2) + font.ascent
        made = []
        for start, stop in zip(starts, [*(start - 1 for start in starts[1:]), self.seconds], strict=False):
            text = caption_text(rng, font, self.size[0] - 12)
            x = round((self.size[0] - text_width(text, font)) / 2)
            end = int(rng.integers(start + least, stop + 1))
            made.append(Caption(text, start, end, font, (x, baseline), strip, *style))
        return made


def timeline(rng, seconds: list[int], total: int, first: int = 0) -> list[int] | None:
    """Starts of events that follow each other with a second or more between them; None when `total` is too short.

    `seconds`: how long each takes; `first`: the earliest start.

    >>> timeline(np.random.default_rng(0), [2, 1], 4)
    [0, 3]
    """
    slack = total - sum(seconds) - len(seconds) + 1 - first
    if slack < 0:
        return None
    extra = rng.multinomial(slack, [1 / (len(seconds) + 1)] * (len(seconds) + 1))
    before = np.cumsum([first, *(length + 1 for length in seconds)]) + np.cumsum(extra)
    return before[:-1].tolist()


def caption_text(rng, font: Font, width: float) -> str:
    """One to three words, numbers or codes that nobody could guess, no wider than `width` pixels."""
    makers = (
        lambda: pick(rng, SHORT_WORDS),
        lambda: str(int(rng.integers(10, 10_000))),
        lambda: pick(rng, LETTERS) + str(int(rng.integers(1, 100))),
        lambda: f"{int(rng.integers(1, 24))}:{int(rng.integers(0, 60)):02d}",
    )
    while True:
        count = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
        words = [makers[int(rng.choice(4, p=[0.55, 0.15, 0.15, 0.15]))]() for _ in range(count)]
        text = pick(rng, (str.upper, str.upper, str.title, str.capitalize))(" ".join(words))
        if text_width(text, font) <= width:
            return text


# --- for the training ------------------------------------------------------------------------


def seen_times(seconds: int, fps: int | None = None) -> list[float]:
    """When the frames are that the model sees: two a second, or of a file of `fps` frames a second evenly from first to last.

    >>> seen_times(2), [round(time_s, 2) for time_s in seen_times(2, 12)]
    ([0.0, 0.5, 1.0, 1.5], [0.0, 0.67, 1.25, 1.92])
    """
    count = round(seconds * FPS)
    if fps is None:
        return [index / FPS for index in range(count)]
    return (np.linspace(0, seconds * fps - 1, count).round() / fps).tolist()


def soften(rng: np.random.Generator, frames: list[Image.Image]) -> list[Image.Image]:
    """Perhaps blurs, changes contrast and brightness, adds noise, as a camera and a codec do, alike in all frames."""
    if rng.random() < 0.2:
        size, small = frames[0].size, [round(side * 0.75) for side in frames[0].size]
        frames = [f.resize(small, Image.Resampling.BICUBIC).resize(size, Image.Resampling.BICUBIC) for f in frames]
    gain, lift = (rng.uniform(0.75, 1.2), rng.uniform(-18, 18)) if rng.random() < 0.35 else (1, 0)
    noise = rng.uniform(2, 8) if rng.random() < 0.15 else 0
    if (gain, lift, noise) == (1, 0, 0):
        return frames
    grain = rng.normal(lift, noise, (*frames[0].size[::-1], 1)).astype(np.float32)
    changed = (np.asarray(frame) * np.float32(gain) + (grain if i % 2 else grain[::-1]) for i, frame in enumerate(frames))
    return [Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)) for pixels in changed]


def make(rng: np.random.Generator, size=(128, 128), level=1.0, *, seconds: int | None = None) -> Sample:
    """A clip as the model sees it, with questions; the frames' times are those of a list of frames or of a video file."""
    from .clip_tasks import ask

    clip = render(rng, size, level, seconds=seconds)
    clip.times = seen_times(clip.seconds, int(pick(rng, (12, 24, 25, 30))) if rng.random() < 0.3 else None)
    turns = list({turn.prompt: turn for turn in (ask(clip, rng) for _ in range(QUESTIONS + 2))}.values())[:QUESTIONS]
    regions, glyphs = list(clip.spots.values()), [glyph for line in clip.written.values() for glyph in line]
    return Sample(soften(rng, clip.frames), turns, regions, glyphs, seconds=clip.times)
