"""Clips: what is said of them, held against their pixels, the readers, a video file and transformers' own processor."""

import itertools
import re

import numpy as np
import pytest

from cookbook_utils.models.media import frame_indices, load_video
from cookbook_utils.parsing import parse_boxes, parse_events
from cookbook_utils.tiny import clip_tasks, clips
from cookbook_utils.tiny.artwork import things
from cookbook_utils.tiny.samples import Glyph
from cookbook_utils.tiny.turns import NOWHERE

MAGENTA = (255, 0, 255)
SIZE_OF = [(128, 128), (160, 128)]


def some_clips(count=40, **options):
    return [clips.render(np.random.default_rng([61, i]), SIZE_OF[i % 2], **options) for i in range(count)]


def some_samples(count=30, level=1.0):
    return [clips.make(np.random.default_rng([62, i]), SIZE_OF[i % 2], level) for i in range(count)]


def turns_of(task, count=60):
    asked = [(clip, task(clip, np.random.default_rng(i))) for i, clip in enumerate(some_clips(count))]
    return [(clip, turn) for clip, turn in asked if turn]


@pytest.fixture
def plain(monkeypatch):
    """A plain ground, so that whatever differs from it was drawn."""
    monkeypatch.setattr(clips, "background", lambda rng, size: clips.Image.new("RGB", size, MAGENTA))


def ink_box(frame):
    """Box around the pixels that differ from the ground."""
    changed = np.abs(np.asarray(frame, int) - MAGENTA).max(2) > 60
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


# --- the clip --------------------------------------------------------------------------------


def test_a_seed_gives_the_same_clip_again_whatever_its_scale_and_rate():
    first, again, large = (clips.render(np.random.default_rng(3), **options) for options in ({}, {}, {"scale": 4, "fps": 12}))
    assert [f.tobytes() for f in first.frames] == [f.tobytes() for f in again.frames] and first.truth() == large.truth()
    small = np.asarray(large.frame(1).reduce(4), int)
    assert np.abs(small - np.asarray(first.frame(1), int)).mean() < 6
    assert large.spots[0, 0].box_xyxy == pytest.approx([4 * edge for edge in first.spots[0, 0].box_xyxy])


@pytest.mark.parametrize(("level", "most"), [(0.0, 1), (0.5, 3), (1.0, 4)])
def test_a_clip_has_as_many_events_as_its_level_allows_at_whole_seconds_and_never_two_at_once(level, most):
    for clip in some_clips(level=level):
        starts = [event.start for event in clip.events]
        assert 1 <= len(starts) <= most and starts == sorted(set(starts))
        assert all(isinstance(e.end, int) and 0 <= e.start < e.end <= clip.seconds for e in clip.events)
        assert clip.seconds in range(2, 5 + round(8 * level)) and len(clip.frames) == 2 * clip.seconds


def test_frames_change_exactly_while_something_happens(plain):
    for clip in some_clips():
        pixels = [frame.tobytes() for frame in clip.frames]
        for index, (one, other) in enumerate(itertools.pairwise(pixels), 1):
            now = index / 2
            going = any(e.start < now <= e.end for e in clip.events if e.kind not in ("caption", "appear", "disappear", "change"))
            at_once = any(now in ((e.start, e.end) if e.kind == "caption" else (e.start,)) for e in clip.events if e.kind not in (
                "enter", "leave", "move", "grow", "shrink", "turn"))  # fmt: skip
            assert (one != other) == (going or at_once), (clip.events, now)


def test_a_box_is_tight_around_what_is_drawn_also_of_a_thing_that_turns_or_is_half_outside(plain):
    checked = set()
    for clip in some_clips(60):
        clip.actors, clip.captions = clip.actors[:1], []
        for time_s in np.arange(0, clip.seconds, 0.5):
            for _, thing, box in clip.seen(time_s):
                kinds = {e.kind for e in clip.events if e.start <= time_s < e.end and e.who == 0}
                assert np.abs(np.subtract(ink_box(clip.frame(time_s)), box)).max() <= 4, (things()[thing].name, kinds)
                checked |= kinds
    assert checked >= {"enter", "leave", "move", "grow", "shrink", "turn", "appear", "change"}


def test_a_side_is_the_side():
    ways = {"left": (0, -1), "right": (0, 1), "top": (1, -1), "bottom": (1, 1)}
    told = set()
    for clip in some_clips(100):
        for event in clip.events:
            if event.side:
                axis, sign = ways[event.side]
                first, then = (clip.actors[event.who].at(time_s)[1 + axis] for time_s in (event.start, event.start + 0.5))
                assert (then - first) * sign * (-1 if event.kind == "enter" else 1) > 2, event.sentence
                told.add((event.kind, event.side))
    assert len(told) == 12


def test_things_are_large_enough_and_stay_apart():
    for clip in some_clips():
        for time_s in np.arange(0, clip.seconds, 0.5):
            looks = [look for actor in clip.actors if (look := actor.at(time_s))]
            assert all(25 <= look.longer <= 90 for look in looks)
            boxes = [look.box() for look in looks]
            assert all(clips.cover(a, b) <= 0.1 for a, b in itertools.combinations(boxes, 2))
            assert len({look.thing for look in looks}) == len(looks)


def test_the_letters_of_a_caption_are_where_they_are_said_to_be(plain):
    captions = [(clip, caption) for clip in some_clips(80) for caption in clip.captions]
    assert len(captions) > 20
    for clip, caption in captions:
        clip.actors, clip.captions = [], [caption]
        inked = np.abs(np.asarray(clip.frame(caption.start), int) - np.asarray(paper_only(clip, caption), int)).max(2) > 90
        columns = np.zeros(clip.size[0], bool)
        for character, (x1, y1, x2, y2) in caption.glyphs():
            assert inked[y1:y2, x1:x2].any(0).mean() > 0.5, (caption.text, character)
            columns[x1:x2] = True
        assert not inked[:, ~columns].any() and "".join(c for c, _ in caption.glyphs()) == caption.text.replace(" ", "")


def paper_only(clip, caption):
    """A caption's frame with its text in the colour of the paper."""
    x1, y1, x2, y2 = caption.box()
    frame = np.asarray(clip.frame(caption.start)).copy()
    frame[y1:y2, x1:x2] = frame[y1, x1 - 1]
    return frame


def test_a_written_file_plays_what_was_drawn(tmp_path):
    clip = clips.render(np.random.default_rng(8), scale=2, seconds=3)
    read = load_video(str(clip.write(tmp_path / "clip.mp4")), fps=2)
    assert read.frames[0].size == (256, 256) and read.times_s == pytest.approx(clips.seen_times(3, 12), abs=0.002)
    for frame, time_s in zip(read.frames, clips.seen_times(3, 12), strict=True):
        assert np.abs(np.asarray(frame, int) - np.asarray(clip.frame(time_s), int)).mean() < 6


@pytest.mark.parametrize(("options", "named"), [
    ({"size": (96, 128)}, "size"), ({"level": 2}, "level"), ({"seconds": 1}, "seconds"), ({"seconds": 2.5}, "seconds"),
])  # fmt: skip
def test_a_bad_argument_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        clips.render(np.random.default_rng(0), **options)


# --- what the model sees ---------------------------------------------------------------------


@pytest.mark.parametrize("fps", [None, 12, 24, 25, 30])
@pytest.mark.parametrize("seconds", [2, 5, 12])
def test_a_second_is_a_pair_of_frames_also_of_a_file(fps, seconds):
    times = clips.seen_times(seconds, fps)
    assert [int(time_s) for time_s in times] == [second for second in range(seconds) for _ in range(2)]
    assert fps is None or times == [index / fps for index in frame_indices(seconds * fps, fps, 2)]


def test_the_processor_writes_one_time_stamp_a_second():
    from transformers import AutoProcessor

    from cookbook_utils.models import TINY_FOLDER

    sample = clips.make(np.random.default_rng(4), seconds=11)
    indices = [round(time_s * 1000) for time_s in sample.seconds]
    inputs = AutoProcessor.from_pretrained(TINY_FOLDER)(
        text="<|vision_start|><|video_pad|><|vision_end|>", videos=[np.stack(sample.pictures)], return_tensors="pt",
        videos_kwargs={"do_sample_frames": False, "video_metadata": [{"total_num_frames": 11_000, "fps": 1000.0, "frames_indices": indices}]},
    )  # fmt: skip
    assert inputs["video_grid_thw"].tolist() == [[11, 8, 8]]
    written = AutoProcessor.from_pretrained(TINY_FOLDER).tokenizer.decode(inputs["input_ids"][0])
    assert [int(float(time)) for time in re.findall(r"<([\d.]+) seconds>", written)] == list(range(11))


def test_a_sample_gives_the_truth_of_what_its_frames_show():
    for sample in some_samples(12):
        assert len(sample.pictures) == len(sample.seconds) and sample.pictures[0].size in clips.SIZES
        assert {region.kind for region in sample.regions} <= set(clips.KINDS)
        for region in [*sample.regions, *sample.glyphs]:
            x1, y1, x2, y2 = region.box_xyxy
            assert 0 <= x1 < x2 <= sample.pictures[0].width and 0 <= y1 < y2 <= sample.pictures[0].height
            assert 0 <= region.page < len(sample.pictures)
        assert len({(r.kind, int(sample.seconds[r.page])) for r in sample.regions}) == len(sample.regions)


# --- questions -------------------------------------------------------------------------------


def test_attention_is_taught_consistently():
    for sample in [*some_samples(), *some_samples(10, 0.0)]:
        known = {id(r) for r in [*sample.regions, *sample.glyphs]}
        for turn in sample.turns:
            for phrase, regions in turn.mentions:
                found = re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", turn.prompt, re.ASCII)
                assert found and found.start() == turn.prompt.index(phrase), turn.prompt
                assert {id(r) for r in regions} <= known
            starts = [start for start, _ in turn.shown]
            assert starts == sorted(set(starts)) and (not starts or starts[0] == 0 and starts[-1] <= len(turn.answer))
            assert all(r is NOWHERE or id(r) in known or r in turn.prompt for _, r in turn.shown)
            assert all(turn.answer[start] == r.character for start, r in turn.shown if isinstance(r, Glyph))


def test_one_question_has_one_answer():
    for clip in some_clips(15):
        answers = {}
        for seed in range(100):
            turn = clip_tasks.ask(clip, np.random.default_rng(seed))
            assert answers.setdefault(turn.prompt, turn.answer) == turn.answer
            assert len(turn.answer) <= 250 or turn.task in ("events_json", "track", "box_at")


def test_events_are_read_as_they_are():
    for clip, turn in turns_of(clip_tasks.events_json):
        read = parse_events(turn.answer, strict=True)
        wanted = [{key: event[key] for key in ("start", "end", "description")} for event in clip.truth()["events"]]
        assert read == wanted and not read.dropped and turn.answer.startswith('```json\n[\n\t{"start": ')


@pytest.mark.parametrize("task", [clip_tasks.when, clip_tasks.caption_when])
def test_a_time_is_read_as_it_is(task):
    for clip, turn in turns_of(task, 90):
        [read] = parse_events(f'[{{"time": "{turn.answer}"}}]', strict=True)
        phrase = turn.mentions[0][0].strip("'")
        [event] = [e for e in clip.events if phrase in (clip_tasks.query(e), e.text)]
        assert (read["start"], read["end"]) == (event.start, event.end) == (turn.expect["start"], turn.expect["end"])


@pytest.mark.parametrize("task", [clip_tasks.box_at, clip_tasks.track])
def test_boxes_lie_on_the_thing_at_their_time_and_nowhere_while_it_is_away(task):
    for clip, turn in turns_of(task):
        items, asked = parse_boxes(turn.answer, strict=True), turn.mentions[0][0].removeprefix("the ")
        wanted = [item for second in turn.expect["times"] for item in clip.boxes(second) if item["label"] == asked]
        assert items == wanted == turn.expect["boxes"] and asked in turn.prompt
        assert all(f"{item['time']:.1f}" in turn.prompt or task is clip_tasks.track for item in items)


def test_a_caption_is_read_at_its_time_only():
    answers = set()
    for clip, turn in turns_of(clip_tasks.caption_at, 70):
        phrase = turn.mentions[0][0]
        second = float(phrase.split()[0]) if " " in phrase else float(phrase.split(":")[1])
        [text] = [c.text for c in clip.captions if c.start <= second < c.end] or [clip_tasks.NO_CAPTION]
        assert turn.answer == text
        answers.add(text)
    assert clip_tasks.NO_CAPTION in answers and len(answers) > 10


def test_yes_and_no_agree_with_the_clip_and_are_about_as_frequent():
    for task in (clip_tasks.presence, clip_tasks.happens):
        said = [turn.answer in ("Yes", "是") for _, turn in turns_of(task, 80)]
        assert 0.3 < np.mean(said) < 0.7
    for clip, turn in turns_of(clip_tasks.happens, 40):
        asked = turn.prompt.split("'")[1]
        assert (turn.answer == "Yes") == (asked in [clip_tasks.query(e) for e in clip.events])


def test_things_are_named_counted_and_told_apart_from_those_that_are_away():
    for clip, turn in turns_of(clip_tasks.names_at):
        second = float(turn.mentions[0][0].split()[0].split(":")[-1])
        names = [things()[thing].name for _, thing, _ in clip.seen(second)]
        assert turn.answer == (", ".join(names) or clip_tasks.NOTHING_SEEN)
    for clip, turn in turns_of(clip_tasks.count):
        if "different" in turn.prompt:
            assert int(turn.answer) == len({item["label"] for item in clip.truth()["objects"]} | {
                things()[thing].name for half in range(2 * clip.seconds) for _, thing, _ in clip.seen(half / 2)})  # fmt: skip


@pytest.mark.parametrize(("event", "english", "chinese"), [
    (("enter", 0, "left", None), "The dog enters from the left.", "狗从左边进入。"),
    (("leave", 0, "top", None), "The dog leaves at the top.", "狗从上边离开。"),
    (("move", 0, "bottom", None), "The dog moves down.", "狗向下移动。"),
    (("turn", 0, "", None), "The dog turns around.", "狗转了一圈。"),
    (("change", 0, "", 19), "The dog changes into an elephant.", "狗变成大象。"),
])  # fmt: skip
def test_an_event_is_told_in_good_words(event, english, chinese):
    kind, thing, side, other = event
    told = clips.Event(kind, 0, 1, 0, thing=thing, side=side, other=other)
    assert (told.sentence, told.sentence_zh) == (english, chinese)


def test_several_things_enter_in_the_plural():
    grapes = next(thing.index for thing in things() if thing.name == "grapes")
    assert clips.Event("enter", 0, 1, 0, thing=grapes, side="left").sentence == "The grapes enter from the left."
