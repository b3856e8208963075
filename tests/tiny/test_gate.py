"""Fitting the gate: what it is fitted on, and that it learns what can be learned, however seldom."""

import numpy as np
import pytest

from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.models.experts import SCREEN_TOOLS, gate_scores
from cookbook_utils.tiny import gate


def pixels(conversation) -> list[bytes]:
    """Of all pictures and frames."""
    frames = [frame for part in conversation.parts("video") for frame in part["video"].frames]
    return [picture.tobytes() for picture in [*(part["image"] for part in conversation.parts("image")), *frames]]


@pytest.mark.parametrize("who", gate.FOLDERS)
def test_the_same_seed_makes_the_same_pictures(who):
    if who == "tiny_screens":
        pytest.skip("screens come out of a browser")
    once, again = (gate.KNOWN[who](np.random.default_rng([7, 4]), 4) for _ in range(2))
    assert once and [pixels(one) for one in once] == [pixels(one) for one in again]


def test_clips_come_at_other_rates_and_sizes_too():
    made = [one for index in range(6) for one in gate.of_clips(np.random.default_rng([8, index]), index)]
    shown = [video["video"] for one in made for video in one.parts("video")]
    assert len({clip.frames[0].size for clip in shown}) > 2 and len({clip.times_s[1] for clip in shown}) == 3


def test_what_is_nobodys_is_of_many_kinds():
    made = [np.asarray(gate.plain(np.random.default_rng([9, index])), float) for index in range(24)]
    spread = [picture.std((0, 1)).max() for picture in made]
    assert min(spread) == 0 and max(spread) > 40


def test_a_rare_kind_is_learned_as_well_as_a_frequent_one():
    rng, kinds = np.random.default_rng(0), len(gate.FOLDERS)
    truth = np.concatenate([np.arange(kinds), rng.choice(kinds, 600, p=[0.9] + [0.1 / (kinds - 1)] * (kinds - 1))])
    features = 8 * np.eye(kinds)[truth] + rng.normal(size=(len(truth), kinds))
    layers = gate.fit(features, truth)
    found = gate_scores(layers, features).argmax(1)
    assert min((found == truth)[truth == kind].mean() for kind in range(kinds)) > 0.9


def test_every_checkpoint_has_its_folder():
    assert [name for name in gate.FOLDERS if not (TINY_FOLDER.parent / name / "config.json").is_file()] == []
    assert SCREEN_TOOLS == ("computer_use", "mobile_use")
