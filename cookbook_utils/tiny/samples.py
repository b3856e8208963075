"""What every family of the embedded model's world hands to the training and the evaluation.

A family is a module with

- `SIZES`: picture sizes `(width, height)` in pixels, multiples of 32, and how often to train on each;
- `KINDS`: names of the kinds of regions that its pictures hold, for the dense supervision;
- `make(rng, size, level=1.0)`: one `Sample`, everything from the generator. `level` (0-1) is the curriculum:
  0 is the easiest case of the family (one word, one solid, one event), 1 the full world;
- `TASKS`: the functions `(world, rng) -> Turn | None` with their weights, as in `tasks.py`.

A `Sample` carries its questions, what lies where, and every written character, so that the vision tower can
be told per patch what is there and attention heads where an answer looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from PIL import Image

from .turns import Turn


@dataclass
class Region:
    """Something in a picture: its kind (one of the family's `KINDS`) and its box `[x1, y1, x2, y2]` in pixels.

    `page` is the index of the picture in its sample; in a clip, of the frame.
    """

    kind: str
    box_xyxy: tuple[float, float, float, float]
    page: int = 0


@dataclass
class Glyph:
    """One written character, not a space: what it is, its box in pixels, and the index of its picture.

    A glyph is a region too: `Turn.shown` may name one for every character of an answer that reads text.
    """

    character: str
    box_xyxy: tuple[float, float, float, float]
    page: int = 0


@dataclass
class Sample:
    """Pictures with independent questions about them.

    `pictures`: one picture, the pages of a document, or the frames of a clip. `seconds`: the time of each frame of a
    clip, None otherwise. `numbers`: the printed page number of each picture of a document. `system` stands in the system turn and `tools` are declared there. `between`: of a conversation
    whose pictures do not follow each other at once, what the chat template writes after picture i (and its `<|vision_end|>`)
    and before the next one (and its `<|vision_start|>`); a turn's prompt is what follows the last.
    """

    pictures: list[Image.Image]
    turns: list[Turn]
    regions: list[Region] = field(default_factory=list)
    glyphs: list[Glyph] = field(default_factory=list)
    seconds: list[float] | None = None
    numbers: list[int] | None = None
    system: str = ""
    tools: list[dict] = field(default_factory=list)
    between: list[str] = field(default_factory=list)
