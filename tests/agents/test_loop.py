"""The loop as conversations: a model fed from a queue, an environment that notes what it is told."""

import pytest
from PIL import Image

from cookbook_utils.agents.environment import Environment, Target
from cookbook_utils.agents.loop import run, step_messages
from cookbook_utils.agents.record import Step
from cookbook_utils.agents.schemas import ToolError, write_call


class Counter(Environment):
    """A screen that changes with each action that it is told."""

    tool, size, hosts = "computer_use", (64, 48), ("good.example",)

    def __init__(self, target=None, still=False):
        self.did, self._target, self._still = [], target, still

    def screenshot(self):
        return Image.new("RGB", self.size, (0 if self._still else 10 * len(self.did), 0, 0))

    def act(self, action):
        if action.get("text") == "impossible":
            raise ToolError("nothing has the focus")
        self.did.append(action)
        return "a bell rang" if action["action"] == "wait" else ""

    def target(self, action):
        return self._target


def computer(action, **arguments):
    return "computer_use", {"action": action, **arguments}


CLICK, DONE = computer("left_click", coordinate=[500, 500]), computer("terminate", status="success")


def texts(message) -> str:
    return "\n".join(part["text"] for part in message["content"] if part["type"] == "text")


# --- messages -------------------------------------------------------------------------------------------------------


def test_the_message_is_the_picture_and_then_the_goal_and_the_steps():
    screen = Image.new("RGB", (320, 420))
    steps = [Step(call={"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [1, 2]}}),
             Step(reply="Action: Type the name.\n<tool_call>...", observation="a dialog was answered")]  # fmt: skip
    [message] = step_messages("Log in", steps, [screen])
    assert message["content"] == [
        {"type": "image", "image": screen, "max_pixels": 320 * 448},
        {"type": "text", "text": "The user query: Log in\nTask progress (You have done the following operation on the current "
                                 "device): Step 1: left_click [1, 2]; Step 2: Type the name. (a dialog was answered)\n"},
    ]  # fmt: skip


def test_earlier_screens_are_turns_of_their_own():
    screens = [Image.new("RGB", (32, 32)) for _ in range(3)]
    steps = [Step(reply=f"reply {number}", error="oops" if number == 2 else "") for number in range(3)]
    messages = step_messages("Go", steps, screens)
    assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert "Step 1: no valid call" in texts(messages[0]) and "Step 2" not in texts(messages[0])
    assert [messages[1]["content"], messages[3]["content"]] == ["reply 1", "reply 2"]
    assert [message["content"][0]["image"] for message in messages[::2]] == screens
    assert texts(messages[4]) == "error: oops"


@pytest.mark.parametrize("count", [0, 3])
def test_screens_and_steps_must_fit(count):
    with pytest.raises(ValueError, match="screenshots: expected 1 to 2 for 1 steps"):
        step_messages("Go", [Step()], [Image.new("RGB", (32, 32))] * count)


# --- the loop -------------------------------------------------------------------------------------------------------


def test_a_run_acts_until_the_model_says_that_it_is_done(queue):
    model, environment = queue(CLICK, DONE), Counter()
    record = run(model, environment, "Press it")
    assert (record.stopped, record.status, len(record.steps)) == ("terminate", "success", 2)
    assert environment.did == [{"action": "left_click", "coordinate": [500, 500]}]
    (first, options), (second, _) = model.asked
    assert options["tools"][0]["function"]["name"] == "computer_use"
    assert "Step 1" not in texts(first[0]) and "Step 1: left_click [500, 500]" in texts(second[0])
    assert second[0]["content"][0]["image"].getpixel((0, 0)) == (10, 0, 0), "the screen after the click"


def test_an_answer_ends_the_run(queue):
    record = run(queue(computer("answer", text="12:30")), Counter(), "What time is it?")
    assert (record.stopped, record.answer) == ("answer", "12:30")


@pytest.mark.parametrize(("reply", "words", "reason"), [
    ("I would click the button.", "no tool call could be read; write one as JSON within <tool_call> tags", "no call"),
    ('<tool_call>{"name": "computer_use", "arguments": {"action": "left_cl', "no tool call could be read: cut off", "cut off"),
    ("<tool_call>click(500, 500)</tool_call>", "no tool call could be read", "not JSON"),
    (computer("left_click", coordinate=[1200, 5]), "from 0 to 1000, got 1200", "outside the screen"),
    (computer("type", text="impossible"), "nothing has the focus", "the environment says no"),
    (("shell", {"command": "ls"}), 'no tool "shell"; there is computer_use', "a tool that was not offered"),
])  # fmt: skip
def test_a_wrong_call_is_answered_to_the_model_and_the_run_goes_on(queue, reply, words, reason):
    model, environment = queue(reply, CLICK, DONE), Counter()
    record = run(model, environment, "Press it")
    assert words in record.steps[0].error, reason
    assert f"error: {record.steps[0].error}" in texts(model.asked[1][0][0])
    assert record.stopped == "terminate" and len(environment.did) == 1


def test_what_the_environment_says_stands_among_the_steps(queue):
    model = queue(computer("wait", time=0), DONE)
    run(model, Counter(), "Listen")
    assert "Step 1: wait 0 (a bell rang)" in texts(model.asked[1][0][0])


def test_only_the_first_of_several_calls_is_done(queue):
    environment = Counter()
    record = run(queue(write_call(*CLICK) + write_call(*CLICK), DONE), environment, "Press it")
    assert len(environment.did) == 1 and record.steps[0].observation == "only the first of 2 calls was done"


@pytest.mark.parametrize(("reply", "still", "limits", "stopped", "steps"), [
    (CLICK, True, {}, "repetition", 3),
    ("again and again", False, {}, "repetition", 3),
    (CLICK, True, {"repeats": 5}, "repetition", 5),
    (CLICK, False, {"max_steps": 4}, "max_steps", 4),
    (CLICK, False, {"max_seconds": 1}, "max_seconds", 1),
])  # fmt: skip
def test_a_model_that_repeats_itself_for_ever_is_stopped(queue, monkeypatch, reply, still, limits, stopped, steps):
    ticks = iter(range(1000))
    if "max_seconds" in limits:
        monkeypatch.setattr("cookbook_utils.agents.loop.time.monotonic", lambda: next(ticks))
    record = run(queue(reply), Counter(still=still), "Press it", **limits)
    assert (record.stopped, len(record.steps)) == (stopped, steps)


def test_the_environment_may_end_the_run(queue):
    environment = Counter()
    environment.done = True
    assert run(queue(CLICK), environment, "Press it").stopped == "done"


def test_so_many_screens_are_kept_as_were_asked_for(queue):
    model = queue(CLICK, CLICK, CLICK, DONE)
    run(model, Counter(), "Press it", keep_screenshots=2)
    assert [len([m for m in messages if m["role"] == "user"]) for messages, _ in model.asked] == [1, 2, 2, 2]


def test_further_tools_are_offered_and_called(queue):
    model = queue(("image_search", {"img_idx": 0}), DONE)
    record = run(model, Counter(), "Find it", tools={"image_search": lambda arguments, screen: f"nothing like {screen.size}"})
    assert [tool["function"]["name"] for tool in model.asked[0][1]["tools"]] == ["computer_use", "image_search"]
    assert record.steps[0].observation == "nothing like (64, 48)"


@pytest.mark.parametrize("name", ["max_steps", "max_seconds", "keep_screenshots", "repeats"])
def test_a_limit_below_one_is_refused(queue, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        run(queue(DONE), Counter(), "Go", **{name: 0})


def test_what_the_model_raises_is_raised(queue):
    class Broken:
        def chat(self, messages, **_):
            raise ConnectionError("no server")

    with pytest.raises(ConnectionError):
        run(Broken(), Counter(), "Go")


def test_each_step_can_be_watched(queue):
    seen = []
    run(queue(CLICK, DONE), Counter(), "Go", on_step=lambda record: seen.append((len(record.steps), record.stopped)))
    assert seen == [(1, ""), (2, "terminate")]


# --- consent --------------------------------------------------------------------------------------------------------

RISKY = [
    (CLICK, Target("Place order"), "buy"), (CLICK, Target("Delete note"), "delete"),
    (CLICK, Target("more", url="http://evil.example/x"), "leave"),
    (computer("type", text="hunter2"), Target("Password", secret=True), "secret"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "target", "kind"), RISKY)
def test_a_risk_is_refused_unless_a_person_agrees(queue, reply, target, kind):
    environment, asked = Counter(target), []
    record = run(queue(reply, DONE), environment, "Go")
    assert not environment.did and record.steps[0].error.startswith("refused, the user has not agreed to")
    record = run(queue(reply, DONE), environment, "Go", confirm=lambda risk: asked.append(risk) or False)
    assert not environment.did and [risk.kind for risk in asked] == [kind]
    record = run(queue(reply, DONE), environment, "Go", confirm=lambda risk: True)
    assert len(environment.did) == 1 and not record.steps[0].error


def test_agreeing_to_leave_allows_the_host(queue):
    environment = Counter(Target("more", url="http://other.example/x"))
    run(queue(CLICK, DONE), environment, "Go", confirm=lambda risk: risk.kind == "leave")
    assert "other.example" in environment.hosts
