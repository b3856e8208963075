"""Stills for the training: any state of the phone and any page, held against the pages themselves."""

import random

import numpy as np
import pytest

from cookbook_utils.agents.phone import Phone
from cookbook_utils.agents.schemas import validate_call
from cookbook_utils.parsing import parse_tool_calls
from cookbook_utils.tiny import screen_command, screen_stills, screens
from cookbook_utils.tiny.screen_parts import call_of, screen_of
from cookbook_utils.tiny.screen_shards import Library, write_shard

SEEDS = range(40)


@pytest.fixture(scope="module")
def environments(chromium):
    made = {name: start(chromium) for name, start in screen_stills.STILLS.items()}
    yield made
    for environment in made.values():
        environment.close()


@pytest.fixture(scope="module")
def stills(environments):
    """By name, the stills that show something."""
    return {name: [still for seed in SEEDS if (still := screen_stills.still_of(one, seed))] for name, one in environments.items()}


def test_every_goal_of_a_still_has_a_call_that_can_be_carried_out(stills):
    for group in stills.values():
        assert len(group) > 0.8 * len(SEEDS)
        for record, _ in group:
            for row in ({"goal": record["goal"], "call": record["steps"][0]["call"]}, *record["steps"][0]["others"]):
                [call] = parse_tool_calls(row["call"])
                assert row["goal"] and validate_call(call["name"], call["arguments"], [record["tool"]])


def test_clicks_on_a_page_hit_what_bears_their_words(stills):
    for record, [picture] in stills["stills-miniwob"]:
        screen = screen_of(record, 0, picture)
        for row in ({"goal": screen.goal, "call": screen.call}, *screen.others):
            hit = screen.at(call_of(row["call"])["arguments"]["coordinate"])
            words = row["goal"].split('"')[1::2]
            assert not words or words[0] in (hit.label, hit.name, hit.pictured)


def test_a_tap_on_the_phone_leads_on_from_where_it_is(environments, stills):
    """Each still is shown again, and one of its goals that begins with a tap is followed for a step."""
    phone, followed = environments["stills-phone"], 0
    for record, _ in stills["stills-phone"][:20]:
        again, _ = screen_stills.still_of(phone, record["seed"])
        assert again["goal"] == record["goal"] and again["steps"][0]["elements"] == record["steps"][0]["elements"]
        call = call_of(record["steps"][0]["call"])["arguments"]
        if call["action"] == "click":
            before = phone.state()
            phone.act(call)
            followed += phone.state() != before
            assert phone.state() != before or before["screen"] == "NewNote"
    assert followed > 5


def test_phones_show_many_screens_menus_and_half_written_texts(environments):
    phone, seen = environments["stills-phone"], []
    for seed in range(80):
        screen_stills.phone_still(phone, random.Random(seed))
        seen.append(phone.state())
    assert len({state["screen"] for state in seen}) >= 14
    for shown in ("menu", "focus", "drafts"):
        assert 2 < sum(bool(state[shown]) for state in seen) < 70, shown


def test_invented_words_stay_with_one_phone(environments):
    phone = environments["stills-phone"]
    screen_stills.phone_still(phone, random.Random(1))
    lists = phone.evaluate("JSON.stringify(WORDS)")
    fresh = Phone(chromium=phone._chromium)
    assert fresh.evaluate("JSON.stringify(WORDS)") == lists
    fresh.close()


def test_hardly_a_word_comes_twice():
    rng = random.Random(0)
    names = [name for _ in range(50) for name in screen_stills.phone_words(rng)["names"]]
    assert len(set(names)) > 0.7 * len(names) and all(name.isalpha() for name in names)


@pytest.mark.parametrize(("environment", "share"), screens.STILL_SHARE.items())
def test_a_share_of_the_samples_are_stills_where_there_are_some(stills, tmp_path, environment, share):
    group = stills[f"stills-{environment}"]
    write_shard(tmp_path / f"stills-{environment}_00000.tar", [(f"still_{record['seed']}", record, seen) for record, seen in group])
    walks = [(f"walk_{record['seed']}", {**record, "goal": "Walk"}, seen) for record, seen in group]
    write_shard(tmp_path / f"{environment}_00000.tar", walks)
    shards = Library(tmp_path)
    assert shards.has(f"stills-{environment}") and not shards.has("stills")
    size = next(size for size, name in screens.ENVIRONMENT_OF.items() if name == environment)
    samples = (screens.make(np.random.default_rng(index), size, folder=tmp_path) for index in range(80))
    walked = [turn.expect["goal"] == "Walk" for sample in samples for turn in sample.turns if turn.task == "next_action"]
    assert len(walked) > 40 and abs(1 - np.mean(walked) - share) < 0.2


def test_stills_of_unseen_seeds_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        screen_command.main([str(tmp_path), "--only", "stills-phone", "--unseen"])
    assert "--only: with --unseen expected one of miniwob, phone, got stills-phone" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
