"""The families of the embedded model's world, by name, and how often to train on each.

`FAMILIES[name].make(rng, size, level)` gives a `Sample`. The picture family lives in `scenes.py` and `tasks.py`; its
questions are drawn here, so that it hands over the same kind of sample as all others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from . import clips, page_documents, page_tasks, scenes, screens, solid_actions, solid_tasks, solids, tasks, zoom
from .artwork import things
from .samples import Region, Sample

QUESTIONS = 9  # asked about a picture; as many as fit into a row are trained on


@dataclass(frozen=True)
class Family:
    """How to make a family's samples: `sizes` in pixels with weights, row `length` in tokens, names of its region `kinds`.

    `shared(rng)` gives keyword arguments of `make` that all samples of one batch have in common. `unseen` makes the samples of
    the held-out figures, where the family draws from what was recorded beforehand; any other family makes up new ones with a
    seed of its own.
    """

    make: Callable[..., Sample]
    sizes: dict[tuple[int, int], float]
    length: int
    kinds: tuple[str, ...] = ()
    shared: Callable[[np.random.Generator], dict] = lambda rng: {}
    unseen: Callable[..., Sample] | None = None


# Sizes `(width, height)` of pictures of 256-640 px after the processor, the commonest first.
PICTURE_SIZES = {
    (256, 288): 3, (288, 256): 3, (224, 320): 3, (320, 224): 3, (192, 384): 2, (384, 192): 2, (192, 352): 2,
    (352, 192): 2, (224, 352): 1, (352, 224): 1, (256, 256): 2, (256, 320): 1, (320, 256): 1,
}  # fmt: skip


def picture(rng: np.random.Generator, size: tuple[int, int], level: float = 1.0) -> Sample:
    """A scene of one to six things and questions about it; at level 0 one thing alone."""
    scene = scenes.render_scene(rng, size=size, count=int(rng.integers(1, 2 + round(5 * level))))
    turns = [tasks.ask(scene, rng) for _ in range(QUESTIONS)]
    return Sample([scene.image], turns, scene.placed)


def clip_length(rng: np.random.Generator) -> dict:
    """How many seconds the clips of a batch last, short ones more often."""
    seconds = np.arange(clips.SHORTEST, clips.LONGEST + 1)
    return {"seconds": int(rng.choice(seconds, p=(1 / seconds) / (1 / seconds).sum()))}


ARTICLE_SIZE = (384, 512)
PAGE_SIZES = {size: weight for size, weight in page_tasks.SIZES.items() if size != ARTICLE_SIZE}
FAMILIES = {
    "pictures": Family(picture, PICTURE_SIZES, 288, tuple(t.name for t in things())),
    "pages": Family(partial(page_tasks.make, system_fonts=True), PAGE_SIZES, 400, page_tasks.KINDS),
    "articles": Family(partial(page_tasks.make, system_fonts=True), {ARTICLE_SIZE: 1}, 720, page_tasks.KINDS),
    "solids": Family(solid_tasks.make, solids.SIZES, 448, solids.KINDS),
    "walks": Family(solid_actions.make_walk, {(128, 128): 1}, 320, solids.KINDS),
    "clips": Family(clips.make, clips.SIZES, 512, clips.KINDS, clip_length),
    "documents": Family(partial(page_documents.make, system_fonts=True), page_documents.SIZES, 448, page_tasks.KINDS),
    "long_documents": Family(
        partial(page_documents.make, pages_of=page_documents.LONG_PAGES_OF, questions=14, system_fonts=True),
        page_documents.LONG_SIZES, 1216, page_tasks.KINDS,
    ),
    "zoom": Family(zoom.make, zoom.SIZES, 384, zoom.KINDS),
    "zoom_once": Family(zoom.make_zoomed, zoom.SIZES, 288, zoom.KINDS),
    "zoom_twice": Family(zoom.make_zoomed_twice, zoom.SIZES, 384, zoom.KINDS),
    "screens": Family(screens.make, screens.SIZES, 448, screens.KINDS, unseen=screens.make_unseen),
}
# Classes of the dense heads: the kinds of all families in their order, with "nothing" behind the pictures' things.
KINDS = {name: index for index, name in enumerate(dict.fromkeys(
    [*FAMILIES["pictures"].kinds, "nothing", *(kind for family in FAMILIES.values() for kind in family.kinds)]
))}  # fmt: skip
