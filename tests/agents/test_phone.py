"""The phone of our own: what seeds make of it, its goals, the policy that reaches them, and a blind agent that does not."""

import copy

import pytest

from cookbook_utils.agents.baselines import Oracle, RandomModel
from cookbook_utils.agents.loop import run
from cookbook_utils.agents.phone import Phone
from cookbook_utils.agents.phone_goals import GOALS, make_goal
from cookbook_utils.agents.phone_policy import next_call, says
from cookbook_utils.agents.record import Record, Step


@pytest.fixture(scope="module")
def phone(chromium):
    with Phone(0, chromium=chromium) as one:
        yield one


def attempt(phone, kind, seed, model=None, **options):
    """Goal and record of one run; without a model the policy acts."""
    phone.reset(seed)
    goal = make_goal(kind, seed, phone.state())
    actor = model or Oracle(lambda: next_call(phone, goal))
    return goal, run(actor, phone, goal.text, max_steps=12, confirm=lambda risk: True, **options)


# --- the pages ------------------------------------------------------------------------------------------------------


def test_a_seed_is_the_same_phone_again_and_another_is_another(phone):
    screens = {}
    for seed in (1, 2, 1):
        phone.reset(seed)
        state, screen = phone.state(), phone.screenshot().tobytes()
        assert screens.setdefault(seed, (state, screen)) == (state, screen)
    assert screens[1][0]["data"] != screens[2][0]["data"] and screens[1][1] != screens[2][1]


def test_seeds_vary_names_contents_order_and_theme(phone):
    states = []
    for seed in range(12):
        phone.reset(seed)
        states.append(phone.state())
    looks, data = [state["look"] for state in states], [state["data"] for state in states]
    for values in ([look["apps"] for look in looks], [look["rows"] for look in looks], [look["goods"] for look in looks],
                   [one["conversations"] for one in data], [one["alarms"] for one in data], [one["notes"] for one in data]):  # fmt: skip
        assert len({str(value) for value in values}) >= 11
    assert {one["dark"] for one in data} == {True, False}
    assert len({look["accent"] for look in looks}) >= 4 and len({look["wallpaper"] for look in looks}) >= 4


def test_the_screen_has_the_size_that_the_model_sees(phone):
    assert phone.screenshot().size == phone.size == (288, 512)


def test_the_pages_ask_for_nothing_from_outside(phone, root):
    text = "".join(path.read_text() for path in (root / "assets/phone").glob("*.[hjc]*s*") if path.suffix != ".woff")
    assert "https://" not in text and "http://" not in text
    phone.reset(3)
    for app in phone.state()["look"]["apps"]:
        assert phone.act({"action": "open", "text": app}) == ""
    assert not [host for host in phone.refused if not host.endswith("googleapis.com:443")], "only what Chromium asks for itself"


def test_buttons_of_the_system(phone):
    phone.reset(4)
    screen = lambda: phone.state()["screen"]
    phone.act({"action": "open", "text": "settings"})
    phone.act({"action": "click", "coordinate": phone.place("Display")["point"]}) if not phone.place("Display")[
        "hidden"
    ] else None
    phone.act({"action": "open", "text": "Clock"})
    phone.act({"action": "click", "coordinate": phone.place("new alarm")["point"]})
    assert screen() == "NewAlarm"
    phone.act({"action": "system_button", "button": "Back"})
    assert screen() == "Clock"
    phone.act({"action": "system_button", "button": "Menu"})
    assert screen() == "recents" and phone.place("recent Clock") and phone.place("recent Settings")
    phone.act({"action": "system_button", "button": "Home"})
    assert screen() == "home"


def test_the_keyboard_on_the_screen_types(phone):
    phone.reset(5)
    phone.act({"action": "open", "text": "Notes"})
    for name in ("new note", "title"):
        phone.act({"action": "click", "coordinate": phone.place(name)["point"]})
    key = "k => {const b = document.querySelector(`[data-key='${k}']`).getBoundingClientRect(); return [(b.left + b.right) / 0.72, (b.top + b.bottom) / 1.28]}"
    for name in ("shift", "h", "i", "space", "u", "backspace", "y"):
        phone.act({"action": "click", "coordinate": phone.evaluate(key, name)})
    assert phone.state()["drafts"]["title"] == "Hi y" and phone.state()["focus"] == "title"


def test_a_lost_phone_comes_back_with_its_seed(phone):
    phone.reset(6)
    before = phone.state()["data"]
    phone._chromium.call(lambda: phone._context.new_cdp_session(phone._page).send("Page.navigate", {"url": "chrome://crash"}))
    phone.screenshot()
    assert phone.state()["data"] == before


def test_a_phone_that_was_left_is_as_at_the_start(phone):
    phone.reset(6)
    before = phone.state()["data"]
    phone._chromium.call(lambda: phone._page.goto("about:blank"))
    assert phone.state()["data"] == before


# --- goals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", GOALS)
def test_the_policy_reaches_the_goal_and_standing_still_does_not(phone, kind):
    seed = 100 + list(GOALS).index(kind)
    goal, record = attempt(phone, kind, seed)
    assert goal.reached(phone.state(), record), (goal.text, record.captions())
    assert 2 <= len(record.steps) <= 8
    assert not [step.error for step in record.steps if step.error]
    phone.reset(seed)
    assert not goal.reached(phone.state(), Record(goal.text, stopped="terminate", status="success"))


def test_goals_differ_from_seed_to_seed(phone):
    texts = {kind: set() for kind in GOALS}
    for seed in range(8):
        phone.reset(seed)
        state = phone.state()
        for kind in GOALS:
            texts[kind].add(make_goal(kind, seed, state).text)
    assert not [kind for kind in GOALS if len(texts[kind]) < 3]


def test_what_was_touched_besides_spoils_the_goal(phone):
    goal, record = attempt(phone, "theme", 7)
    state = phone.state()
    assert goal.reached(state, record)
    other = copy.deepcopy(state)
    other["data"]["switches"]["wifi"] = not other["data"]["switches"]["wifi"]
    assert not goal.reached(other, record)


@pytest.mark.parametrize(("stopped", "status"), [("max_steps", ""), ("terminate", "failure"), ("repetition", "")])
def test_a_goal_counts_only_when_the_agent_says_that_it_is_done(phone, stopped, status):
    goal, record = attempt(phone, "theme", 8)
    record.stopped, record.status = stopped, status
    assert not goal.reached(phone.state(), record)


@pytest.mark.parametrize(("kind", "mistakes"), [
    ("send", [{"action": "open", "text": "Messages"}, {"action": "long_press", "coordinate": [500, 200]}]),
    ("switch", [{"action": "open", "text": "Shop"}]),
    ("new_alarm", [{"action": "open", "text": "Clock"}, {"action": "click", "coordinate": [750, 930]}]),
    ("timer", [{"action": "open", "text": "Clock"}, {"action": "click", "coordinate": [890, 800]}]),
])  # fmt: skip
def test_the_policy_finds_its_way_back_from_a_wrong_turn(phone, kind, mistakes):
    phone.reset(9)
    goal = make_goal(kind, 9, phone.state())
    for mistake in mistakes:
        phone.act(mistake)
    record = run(Oracle(lambda: next_call(phone, goal)), phone, goal.text, confirm=lambda risk: True)
    assert goal.reached(phone.state(), record), record.captions()


def test_buying_and_deleting_need_consent(phone):
    for kind in ("buy", "delete_note"):
        phone.reset(10)
        goal = make_goal(kind, 10, phone.state())
        record = run(Oracle(lambda goal=goal: next_call(phone, goal)), phone, goal.text)
        assert "refused" in record.steps[-1].error and record.stopped == "repetition"
        assert not goal.reached(phone.state(), record)


def test_a_blind_agent_reaches_next_to_nothing(phone):
    for kind in ("send", "new_alarm"):
        goal, record = attempt(phone, kind, 11, RandomModel(kind))
        assert not goal.reached(phone.state(), record)


def test_a_kind_that_there_is_not_is_named(phone):
    with pytest.raises(ValueError, match="kind: expected one of switch, theme.*got 'fly'"):
        make_goal("fly", 1, phone.state())


@pytest.mark.parametrize(("answer", "expected", "right"), [
    ("$12.50", "$12.50", True), ("It costs $12.50.", "$12.50", True), ("$112.50", "$12.50", False), ("12.50", "$12.50", False),
    ("rain", "Rain", True), ("-3°", "-3°", True), ("3°", "-3°", False), ("Sunny, cloudy, rain, snow, storm or windy, one of them or all of them I say", "Rain", False),
    ("“See you at noon”", "See you at noon", True), ("", "Rain", False),
])  # fmt: skip
def test_an_answer_must_say_what_was_asked_for(answer, expected, right):
    assert says(answer, expected) is right


def test_samples_of_a_run_ask_for_the_steps_that_were_taken(phone):
    from cookbook_utils.agents.loop import step_messages

    goal, record = attempt(phone, "theme", 12)
    for before, step in record.samples():
        assert isinstance(step, Step) and step.reply.startswith('<tool_call>\n{"name": "mobile_use"')
        [message] = step_messages(goal.text, before, [step.screenshot])
        assert message["content"][1]["text"].count("Step") == len(before)
