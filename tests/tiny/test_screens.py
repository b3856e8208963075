"""Screens for the training, held against what the loop asked, the pages' pixels, the policies and the chat template."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageChops
from transformers import AutoProcessor

from cookbook_utils.agents.benchmark import HELD_OUT
from cookbook_utils.agents.loop import step_messages
from cookbook_utils.agents.miniwob import DROPPED, TRAINED, UNTRAINED
from cookbook_utils.agents.phone_goals import GOALS
from cookbook_utils.agents.record import Step
from cookbook_utils.agents.schemas import tool_schemas, write_call
from cookbook_utils.coordinates import to_grid, to_pixels
from cookbook_utils.models import TINY_FOLDER
from cookbook_utils.parsing import parse_boxes, parse_points, parse_tool_calls
from cookbook_utils.tiny import screen_command, screen_recorder, screen_stills, screen_tasks, screens
from cookbook_utils.tiny.packing import ASSISTANT, Packer
from cookbook_utils.tiny.samples import Glyph
from cookbook_utils.tiny.screen_parts import Line, Screen, asked, call_of, next_step, screen_of
from cookbook_utils.tiny.screen_shards import UNSEEN, Library, library, write_shard
from cookbook_utils.tiny.turns import NOWHERE

PHONE = ("switch", "send", "read", "new_alarm")
MINIWOB = ("click-checkboxes", "enter-text", "read-table", "count-shape", "drag-box", "click-tab-2")


@pytest.fixture(scope="module")
def stages(chromium):
    made = {name: start(chromium) for name, start in screen_recorder.ENVIRONMENTS.items()}
    yield made
    for stage in made.values():
        stage.environment.close()


@pytest.fixture(scope="module")
def episodes(stages):
    """By environment: name, record and screens of an episode per task; every fourth step goes wrong."""
    return {
        name: [(f"{task}_{seed}", *screen_recorder.episode_of(stages[name], task, seed, wrong=0.25)) for task, seed in tasks]
        for name, tasks in (("phone", [(t, 3) for t in PHONE]), ("miniwob", [(t, s) for t in MINIWOB for s in (4, 5)]))
    }


@pytest.fixture(scope="module")
def folder(episodes, tmp_path_factory):
    made = tmp_path_factory.mktemp("shards")
    for name, group in episodes.items():
        write_shard(made / f"{name}_00000.tar", group)
    return made


@pytest.fixture(scope="module")
def processor():
    return AutoProcessor.from_pretrained(TINY_FOLDER)


def some_screens(episodes):
    return [screen_of(record, n, picture) for group in episodes.values() for _, record, seen in group for n, picture in enumerate(seen)]


def some_samples(folder, count=20):
    return [screens.make(np.random.default_rng([5, i]), list(screens.SIZES)[i % 2], folder=folder) for i in range(count)]


def template(processor, messages, tool):
    """The prompt as the model's backend writes it."""
    bare = [{**m, "content": [p if p["type"] == "text" else {"type": "image"} for p in m["content"]] if isinstance(m["content"], list) else m["content"]}
            for m in messages]  # fmt: skip
    return processor.apply_chat_template(bare, tools=tool_schemas(tool), add_generation_prompt=True, tokenize=False)


# --- what the loop asks ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "task"), [("phone", "send"), ("miniwob", "login-user")])
def test_a_row_is_token_for_token_what_the_loop_asked(stages, processor, monkeypatch, name, task):
    heard, witness = [], screen_recorder.Witness.chat
    monkeypatch.setattr(screen_recorder.Witness, "chat", lambda self, messages, **o: heard.append((messages, o)) or witness(self, messages, **o))
    record, seen = screen_recorder.episode_of(stages[name], task, 8, wrong=0.2)
    packer = Packer(processor.tokenizer)
    for number, (messages, options) in enumerate(heard[: len(seen)]):
        screen = screen_of(record, number, seen[number])
        sample = screens.sample_of(screen, np.random.default_rng(0), 1.0, [])
        turn = screen_tasks.next_action(screen, None)
        ids, *_ = packer.prefix(screens.Sample([screen.picture], [turn], tools=options["tools"]), [side // 32 for side in screen.size[::-1]])
        text = template(processor, messages, record["tool"])
        inputs = processor(text=text, images=[messages[-1]["content"][0]["image"]], images_kwargs={"size": own_size(screen)})
        assert ids + packer.encode(turn.prompt + ASSISTANT) == list(inputs["input_ids"][0])
        assert not sample.tools or sample.tools == options["tools"]
    assert number >= 3


def own_size(screen):
    """The budget with which the loop shows a screen."""
    return {"shortest_edge": 16_384, "longest_edge": screen.size[0] * screen.size[1]}


def test_earlier_screens_are_written_as_the_loop_keeps_them(episodes, folder, processor):
    for seed in range(8):
        sample = screens.make(np.random.default_rng(seed), (320, 320), folder=folder, earlier=1)
        pieces = []
        for _, record, seen in episodes["miniwob"]:
            for number in (n for n, picture in enumerate(seen) if same(picture, sample.pictures[-1])):
                kept = seen[max(0, number - 1) : number + 1]
                steps = screen_of(record, number, seen[number]).steps
                text = template(processor, step_messages(record["goal"], steps, kept), record["tool"])
                pieces.append([p.removesuffix("<|vision_start|>") for p in text.split("<|image_pad|><|vision_end|>")[1:]])
        assert [*sample.between, sample.turns[0].prompt + ASSISTANT] in pieces


def same(a, b):
    return ImageChops.difference(a, b).getbbox() is None


def test_after_a_wrong_step_the_right_call_is_still_asked_for_and_the_step_is_told(episodes):
    told = 0
    for group in episodes.values():
        for _, record, seen in group:
            for number, row in enumerate(record["steps"][:-1]):
                if row["erred"]:
                    prompt = asked(screen := screen_of(record, number + 1, seen[number + 1]), screen.goal, screen.steps)
                    action = parse_tool_calls(row["reply"])[0]["arguments"]["action"]
                    assert f"Step {number + 1}: {action}" in prompt and row["reply"] != row["call"]
                    told += 1
    assert told >= 2


def test_the_right_calls_end_in_terminate_or_answer_on_the_phone(episodes):
    ends = [parse_tool_calls(record["steps"][-1]["call"])[0]["arguments"]["action"] for _, record, _ in episodes["phone"]]
    assert {"terminate", "answer"} >= set(ends) and "terminate" in ends


def test_further_goals_are_asked_on_the_same_screen(episodes):
    screen = next(s for s in some_screens(episodes) if s.tool == "mobile_use" and s.others)
    turns = [screen_tasks.other_goals(screen, np.random.default_rng(i)) for i in range(12)]
    assert len({turn.expect["goal"] for turn in turns}) > 1 and all(turn.expect["call"]["name"] == "mobile_use" for turn in turns)


def test_another_text_is_typed_as_the_goal_quotes_it(episodes):
    made = [(s, screen_tasks.retyped(s, np.random.default_rng(i), ["Garden plan"])) for s in some_screens(episodes) for i in range(3)]
    made = [(screen, turn) for screen, turn in made if turn]
    assert len(made) >= 6
    for screen, turn in made:
        text = turn.expect["call"]["arguments"]["text"]
        assert f'"{text}"' in turn.prompt and text not in screen.goal and turn.expect["call"]["arguments"]["action"] == "type"


def test_another_choice_is_led_to_as_the_pages_policy_would(stages):
    page, moves = stages["miniwob"].environment, []
    for task, seed in [(task, seed) for task in ("click-checkboxes", "click-option") for seed in range(4)]:
        record, pictures = screen_recorder.episode_of(stages["miniwob"], task, seed, wrong=0)
        page.reset(seed, task)
        own = page.goal
        for number, picture in enumerate(pictures):
            screen = screen_of(record, number, picture)
            for turn in [screen_tasks.rechosen(screen, np.random.default_rng(again)) for again in range(4)]:
                page.goal = turn.expect["goal"]
                assert call_of(page.next_call()) == turn.expect["call"] and f"{page.goal}\n" in turn.prompt + "\n"
                moves.append(turn.answer)
            page.goal = own
            page.act(call_of(screen.call)["arguments"])
    assert len(moves) > 40 and len(set(moves)) > 8
    assert screen_tasks.rechosen(replace(screen, goal="Click on the link."), np.random.default_rng(0)) is None


def test_what_is_learned_last_is_drawn_more_often(episodes, folder):
    drawn = [Library(folder).draw(np.random.default_rng(seed), "phone", {"send": 3}).load()["task"] for seed in range(400)]
    assert abs(drawn.count("send") / 400 - 3 / 6) < 0.08 and set(drawn) == set(PHONE)
    assert set(screens.SHARES) <= {*GOALS, *TRAINED}


def test_another_goal_seldom_wants_what_was_typed_replaced():
    again = write_call("computer_use", {"action": "triple_click", "coordinate": [500, 100]})
    typed = Step(call={"name": "computer_use", "arguments": {"action": "type", "text": "Ada"}})
    blank, shares = Screen(Image.new("RGB", (320, 320)), "computer_use", "", "", [], [], [], []), {}
    for name, others, steps in (("none", [], []), ("before", [{"goal": 'Enter "Bo"', "call": again}], []), ("after", [{"goal": 'Enter "Bo"', "call": again}], [typed])):
        screen = replace(blank, others=others, steps=steps)
        shares[name] = np.mean([screen_tasks.other_goals(screen, np.random.default_rng(seed)) is not None for seed in range(200)])
    assert shares["none"] == 0 and shares["before"] == 1 and 0.03 < shares["after"] < 0.2


def test_the_first_step_those_that_write_and_those_just_after_are_drawn_more_often():
    record = {"steps": [{"call": call} for call in ('{"action": "left_click"}', '{"action": "type", "text": "Ada"}', '{"action": "left_click"}', '{"action": "wait"}')]}
    drawn = np.bincount([screens.a_step(np.random.default_rng(seed), record) for seed in range(2000)]) / 2000
    assert np.abs(drawn - np.array([2, 2.5, 2, 1]) / 7.5).max() < 0.05


def test_tasks_that_are_kept_back_are_not_recorded(stages):
    tasks = stages["miniwob"].tasks
    assert not set(tasks) & set(UNTRAINED + DROPPED) and len(tasks) >= 20
    assert screen_recorder.EPISODES * 1000 < HELD_OUT < screen_recorder.FIRST_UNSEEN


# --- what is there to see --------------------------------------------------------------------


@pytest.mark.parametrize("task", ["read-table", "click-checkboxes", "find-word", "click-dialog-2"])
def test_letters_are_where_the_page_wrote_them(stages, task):
    """Without its letters, a page looks the same but in the letters' boxes."""
    stage = stages["miniwob"]
    record, [seen, *_] = screen_recorder.episode_of(stage, task, 6, wrong=0)
    screen = screen_of(record, 0, seen)
    stage.begin(task, 6)
    stage.environment.evaluate("document.head.insertAdjacentHTML('beforeend', '<style>body * { color: transparent !important }</style>')")
    inked = np.asarray(ImageChops.difference(seen, stage.environment.screenshot())).max(2) > 100
    assert inked.any() and len(screen.glyphs) > 5
    for glyph in screen.glyphs:
        x1, y1, x2, y2 = np.rint(glyph.box_xyxy).astype(int)
        assert inked[y1 : y2 + 1, x1 : x2 + 1].any(), glyph
        inked[y1 : y2 + 1, max(0, x1 - 1) : x2 + 2] = False
    assert inked.sum() < 4  # a pixel of a letter's overhang


def test_a_tap_in_an_elements_box_does_what_its_name_says(stages):
    stage = stages["phone"]
    record, [seen, *_] = screen_recorder.episode_of(stage, "about", 2, wrong=0)
    apps = [e for e in screen_of(record, 0, seen).elements if e.name.startswith("app ")]
    assert len(apps) == 6
    for app in apps:
        stage.begin("about", 2)
        stage.environment.act({"action": "click", "coordinate": app.centre(seen.size)})
        assert stage.environment.state()["screen"] == app.label


def test_what_a_veil_covers_is_not_seen(stages):
    record, seen = screen_recorder.episode_of(stages["phone"], "delete_chat", 2, wrong=0)
    with_menu = next(screen_of(record, n, p) for n, p in enumerate(seen) if any(e["name"] == "Pin to top" for e in record["steps"][n]["elements"]))
    assert {e.label for e in with_menu.elements if e.kind == "row"} == {"Pin to top", "Delete", "Cancel"}


# --- questions -------------------------------------------------------------------------------


def test_a_call_looks_at_what_it_clicks(episodes):
    clicks = 0
    for screen in some_screens(episodes):
        turn = screen_tasks.next_action(screen, None)
        arguments = turn.expect["call"]["arguments"]
        if arguments["action"] in ("click", "left_click"):
            x, y = to_pixels(arguments["coordinate"], screen.size)
            x1, y1, x2, y2 = turn.shown[0][1].box_xyxy
            clicks += x1 - 1 <= x <= x2 + 1 and y1 - 1 <= y <= y2 + 1
    assert clicks > 15


def test_an_answer_that_is_read_off_the_screen_looks_at_its_letters(episodes):
    record, seen = next((r, s) for name, r, s in episodes["phone"] if name.startswith("read"))
    turn = screen_tasks.next_action(screen_of(record, len(seen) - 1, seen[-1]), None)
    text = turn.expect["call"]["arguments"]["text"]
    assert "".join(r.character for _, r in turn.shown if r is not NOWHERE) == text.replace(" ", "")


def test_boxes_and_points_are_those_of_the_described_element(episodes):
    checked = 0
    for number, screen in enumerate(some_screens(episodes)):
        for task in (screen_tasks.locate, screen_tasks.point):
            if not (turn := task(screen, np.random.default_rng(number))):
                continue
            box = to_grid(turn.expect["region"].box_xyxy, screen.size).tolist()
            if task is screen_tasks.locate:
                assert [item["bbox_2d"] for item in parse_boxes(turn.answer, strict=True)] == [box]
            else:
                [item] = parse_points(turn.answer, strict=True)
                assert box[0] <= item["point_2d"][0] <= box[2] and box[1] <= item["point_2d"][1] <= box[3]
            checked += 1
    assert checked > 20


def test_a_description_means_one_thing(episodes):
    for screen in some_screens(episodes):
        meant = {}
        for seed in range(40):
            if found := screen_tasks.described(screen, np.random.default_rng(seed)):
                assert meant.setdefault(found[0], id(found[2])) == id(found[2]), found[0]


def test_every_kind_has_a_noun():
    assert set(screen_tasks.NOUNS) == set(screens.KINDS)


def test_what_is_asked_for_in_vain_is_written_nowhere(episodes):
    elsewhere = ["Settings", "Submit", "Mila", "Volcano"]
    for number, screen in enumerate(some_screens(episodes)):
        for task in (screen_tasks.absent, screen_tasks.presence):
            turn = task(screen, np.random.default_rng(number), elsewhere)
            name = re.search(r'"([^"]+)"', turn.prompt)[1] if turn else None
            if turn and not turn.mentions[0][1]:
                assert name in elsewhere and not [line for line in screen.lines if name.casefold() in line.text.casefold()]
                assert turn.answer in ("No", "```json\n[]\n```")


def test_a_word_that_ends_a_sentence_is_found_without_its_full_stop():
    line = Line("text", (10, 10, 30, 20), 0, "at.", [])
    screen = Screen(Image.new("RGB", (320, 320)), "computer_use", 'Click on the link "At".', "", [], [], [], [line])
    turn = next_step("next_action", screen, screen.goal, write_call("computer_use", {"action": "left_click", "coordinate": [60, 50]}), [])
    assert turn.mentions == [("At", [line])] and turn.shown[0] == (0, line)


def test_a_value_that_stands_in_several_rows_is_read_in_the_row_of_the_goal():
    def row(day: str, sky: str, y: int) -> list[Line]:
        lines = ((day, 10), (sky, 200))
        return [Line("text", (x, y, x + 60, y + 12), 0, text, [Glyph(c, (x + 8 * i, y, x + 8 * i + 8, y + 12), 0) for i, c in enumerate(text)]) for text, x in lines]

    lines = [*row("Sunny in Lima", "", 20), *row("Monday", "Sunny", 100), *row("Tuesday", "Sunny", 140)]
    for day, expected in (("Monday", 100), ("Tuesday", 140)):
        screen = Screen(Image.new("RGB", (288, 512)), "mobile_use", f"What will the weather be on {day}?", "", [], [], [], lines)
        call = write_call("mobile_use", {"action": "answer", "text": "Sunny"})
        glyphs = [region for _, region in next_step("next_action", screen, screen.goal, call, []).shown if isinstance(region, Glyph)]
        assert "".join(g.character for g in glyphs) == "Sunny" and {g.box_xyxy[1] for g in glyphs} == {expected}


def test_attention_is_taught_consistently(folder):
    for sample in some_samples(folder, 40):
        known = {id(r) for r in [*sample.regions, *sample.glyphs]}
        width, height = sample.pictures[0].size
        assert sample.turns and {region.kind for region in sample.regions} <= set(screens.KINDS)
        for region in [*sample.regions, *sample.glyphs]:
            x1, y1, x2, y2 = region.box_xyxy
            assert 0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height
        for turn in sample.turns:
            assert all(phrase in turn.prompt and {id(r) for r in regions} <= known for phrase, regions in turn.mentions)
            starts = [start for start, _ in turn.shown]
            assert starts == sorted(set(starts)) and (not starts or starts[0] == 0 and starts[-1] <= len(turn.answer))
            assert all(r is NOWHERE or id(r) in known for _, r in turn.shown)
            assert all(turn.answer[start] == r.character for start, r in turn.shown if isinstance(r, Glyph))
            assert not sample.tools or call_of(turn.answer), turn.answer


def test_a_sample_becomes_a_row(folder, processor):
    packer, rng = Packer(processor.tokenizer), np.random.default_rng(0)
    for sample in some_samples(folder, 6):
        row = packer.row(sample, rng, [side // 32 for side in sample.pictures[0].size[::-1]], 1024)
        assert (row["weights"] > 0).any() and row["ids"].shape == (1024,)
        with pytest.raises(ValueError, match="length"):
            packer.row(sample, rng, [side // 32 for side in sample.pictures[0].size[::-1]], 64)


# --- shards ----------------------------------------------------------------------------------


def test_shards_give_back_what_was_recorded(episodes, folder):
    shards = Library(folder)
    name, record, seen = episodes["phone"][0]
    [found] = shards.episodes["phone"][name.rpartition("_")[0]]
    assert found.load() == record and all(same(found.screen(n), picture) for n, picture in enumerate(seen))
    assert shards.steps() == {key: sum(len(seen) for *_, seen in group) for key, group in episodes.items()}


def test_without_shards_the_error_names_the_command(tmp_path, monkeypatch):
    monkeypatch.delenv("COOKBOOK_SCREENS", raising=False)
    for options in ({}, {"folder": tmp_path}, {"folder": tmp_path, "unseen": True}):
        with pytest.raises(FileNotFoundError, match=r"python -m cookbook_utils\.tiny\.screens"):
            screens.make(np.random.default_rng(0), (320, 320), **options)


def test_another_size_is_refused(folder):
    with pytest.raises(ValueError, match=r"size.*\(288, 512\).*got \(256, 256\)"):
        screens.make(np.random.default_rng(0), (256, 256), folder=folder)


def test_an_episode_in_which_the_page_fails_is_left_out(stages, caplog):
    stage = stages["miniwob"]
    broken = iter([True])

    def begin(task, seed):
        if next(broken, False):
            stage.environment.evaluate("nothing.here")
        return stage.begin(task, seed)

    made = list(screen_recorder.episodes(replace(stage, tasks=("click-test",), begin=begin), range(2), 0))
    assert [name for name, *_ in made] == ["click-test_1"] and "click-test with seed 0 is left out" in caplog.text


def test_every_task_gets_each_seed_once_five_in_a_row(stages, monkeypatch):
    walked = []
    monkeypatch.setattr(screen_recorder, "episode_of", lambda stage, task, seed: walked.append((task, seed)))
    stage = replace(stages["phone"], tasks=("a", "b", "c"))
    assert not list(screen_recorder.episodes(stage, range(30), 100))
    assert walked[:6] == [("a", seed) for seed in range(100, 105)] + [("b", 100)]
    assert sorted(walked) == [(task, seed) for task in "abc" for seed in range(100, 110)]


def test_no_browser_starts_where_there_is_nothing_to_record(tmp_path, monkeypatch):
    monkeypatch.setattr(screen_recorder, "Chromium", None)
    assert not [*screen_recorder.record(tmp_path, []), *screen_stills.record(tmp_path, [])]


def test_recording_goes_on_where_it_stopped(folder, tmp_path, monkeypatch):
    done, still = [], []

    def record(into, shards, *, unseen):
        for name, number in shards:
            path = screen_recorder.shard_path(into, name, number, unseen)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes((folder / f"{name}_00000.tar").read_bytes())
            done.append((name, number))
            yield path, 1

    monkeypatch.setattr(screen_recorder, "record", record)
    monkeypatch.setattr(screen_stills, "record", lambda into, shards: (still.extend(shards), iter(()))[1])
    (tmp_path / "miniwob_00001.tar").touch()
    (tmp_path / "phone_00001.77.part").touch()
    screen_command.main([str(tmp_path), "--episodes", "80", "--unseen"])
    assert len(done) == 4 and not still and library(tmp_path, unseen=True).folder == tmp_path / UNSEEN
    (tmp_path / "miniwob_00001.tar").write_bytes((folder / "miniwob_00000.tar").read_bytes())
    screen_command.main([str(tmp_path), "--episodes", "80"])
    assert done[4:] == [("phone", 0), ("miniwob", 0), ("phone", 1)]
    assert still == [("stills-phone", 0), ("stills-miniwob", 0), ("stills-phone", 1), ("stills-miniwob", 1)]
