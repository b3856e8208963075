"""Screens: full marks for true answers, what each wrong call costs, and that they are asked as the loop asks."""

import json

import numpy as np
import pytest
from PIL import Image

from cookbook_utils.agents.loop import step_messages
from cookbook_utils.agents.schemas import tool_schemas, write_call
from cookbook_utils.tiny import evaluate, failures, screen_shards
from cookbook_utils.tiny import figures_screens as figures
from cookbook_utils.tiny.screen_parts import Element, Screen, call_of, screen_of
from cookbook_utils.tiny.screens import ENVIRONMENT_OF

SIZE_OF = {environment: size for size, environment in ENVIRONMENT_OF.items()}
TOOL_OF = {"phone": "mobile_use", "miniwob": "computer_use"}


def element(kind, name, box, on=None):
    return {"kind": kind, "name": name, "box": box, "on": on}


def line(text, box, of):
    width = (box[2] - box[0]) / len(text)
    chars = [[sign, box[0] + i * width, box[1], box[0] + (i + 1) * width, box[3]] for i, sign in enumerate(text) if sign != " "]
    return {"text": text, "box": box, "of": of, "cut": False, "chars": chars}


def step(tool, **arguments):
    """A step on a screen of a row with a switch in it, a button and a heading."""
    row, switch = element("row", "", [20, 20, 260, 60]), element("switch", "", [200, 30, 250, 50], True)
    elements = [row, switch, element("button", "", [40, 100, 140, 140])]
    lines = [line("Wi-Fi", [30, 30, 80, 50], 0), line("Save", [60, 110, 100, 130], 2), line("Total 12", [30, 200, 110, 220], -1)]
    call = write_call(tool, arguments)
    others = [{"goal": "Save it", "call": write_call(tool, {**arguments, "action": CLICK[tool], "coordinate": [300, 250]})}]
    return {"call": call, "reply": call, "observation": "", "error": "", "elements": elements, "lines": lines, "others": others}


CLICK = {"mobile_use": "click", "computer_use": "left_click"}


def record(tool):
    steps = [step(tool, action=CLICK[tool], coordinate=[310, 240]), step(tool, action="type", text="Mila")]
    return {"task": "save", "seed": 1, "goal": 'Type "Mila" and save', "tool": tool, "steps": steps}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Shards of two made-up episodes an environment, in the place of those that training may not see."""
    made = tmp_path_factory.mktemp("shards")
    for environment, tool in TOOL_OF.items():
        pictures = [Image.new("RGB", SIZE_OF[environment], colour) for colour in ("white", "silver")]
        path = made / screen_shards.UNSEEN / f"{environment}_00000.tar"
        screen_shards.write_shard(path, [(f"{task}_1", record(tool), pictures) for task in ("save", "send")])
    return made


@pytest.fixture
def run(folder, monkeypatch):
    monkeypatch.setenv(screen_shards.FOLDER_VARIABLE, str(folder))
    return figures.questions(8)


class Oracle:
    """Gives the true answers by `answer(case)`, and keeps what it was asked."""

    def __init__(self, cases):
        self.known, self.asked = [(case.messages, case.turn.answer) for case in cases], []

    def chat_batch(self, list_of_messages, **options):
        self.asked.append((list_of_messages, options))
        texts = [next(answer for messages, answer in self.known if messages == asked) for asked in list_of_messages]
        return [type("Reply", (), {"text": text}) for text in texts]


def test_true_answers_get_full_marks(run):
    assert set(run) == set(figures.SCORES)
    for cases in run.values():
        if cases:
            figures.MEASURE.put(Oracle(cases), cases)
    found = figures.MEASURE.figures(run)
    assert {target.name for target in figures.MEASURE.targets} <= set(found)
    assert min(value for name, value in found.items() if "error" not in name and "mean IoU" not in name) == 1.0
    assert {value for name, value in found.items() if "error" in name} == {0.0} and found["locate: mean IoU"] > 0.9


def test_each_tool_is_declared_for_its_own_screens_as_the_loop_does(run):
    oracle = Oracle(run["next_action"])
    figures.MEASURE.put(oracle, run["next_action"])
    assert [options["tools"] for _, options in oracle.asked] == [tool_schemas("computer_use"), tool_schemas("mobile_use")]
    for case in run["next_action"]:
        assert case.messages == step_messages(case.world.goal, case.world.steps, [case.world.picture])
    assert not any(case.tools for task in ("locate", "point", "read") for case in run[task])


@pytest.fixture(scope="module")
def screen():
    return screen_of(record("mobile_use"), 0, Image.new("RGB", SIZE_OF["phone"]))


def point(x, y):
    return [round(1000 * x / 288), round(1000 * y / 512)]


def swipe(start, end):
    return dict(action="swipe", coordinate=start, coordinate2=end)


@pytest.mark.parametrize(("true", "given", "right", "reason"), [
    (dict(action="click", coordinate=point(90, 120)), dict(action="click", coordinate=point(45, 135)), True, "elsewhere on the button"),
    (dict(action="click", coordinate=point(90, 120)), dict(action="click", coordinate=point(150, 120)), False, "beside the button"),
    (dict(action="click", coordinate=point(90, 120)), dict(action="long_press", coordinate=point(90, 120)), False, "another action"),
    (dict(action="click", coordinate=point(50, 40)), dict(action="click", coordinate=point(180, 40)), True, "elsewhere on the row"),
    (dict(action="click", coordinate=point(50, 40)), dict(action="click", coordinate=point(225, 40)), False, "the switch in the row"),
    (dict(action="click", coordinate=point(70, 210)), dict(action="click", coordinate=point(100, 210)), True, "on the same text"),
    (dict(action="click", coordinate=point(200, 400)), dict(action="click", coordinate=point(210, 410)), True, "near, where nothing is"),
    (dict(action="click", coordinate=point(200, 400)), dict(action="click", coordinate=point(250, 400)), False, "far from there"),
    (dict(action="type", text="Mila"), dict(action="type", text="mila"), False, "another letter"),
    (dict(action="answer", text="38 GB"), dict(action="answer", text="It is 38 GB."), True, "the goal takes a sentence"),
    (dict(action="answer", text="38 GB"), dict(action="answer", text="39 GB"), False, "another number"),
    (dict(action="system_button", button="Back"), dict(action="system_button", button="Home"), False, "another button"),
    (dict(action="terminate", status="success"), dict(action="terminate", status="failure"), False, "given up"),
    (swipe([500, 780], [500, 280]), swipe([400, 700], [410, 300]), True, "up too"),
    (swipe([500, 780], [500, 280]), swipe([500, 280], [500, 780]), False, "down"),
    (swipe([500, 780], [500, 280]), swipe([500, 500], [500, 500]), False, "no way"),
    (dict(action="scroll", pixels=160), dict(action="scroll", pixels=80), True, "less far"),
    (dict(action="scroll", pixels=160), dict(action="scroll", pixels=-160), False, "down"),
    (dict(action="left_click", coordinate=point(90, 120)), dict(action="left_click"), False, "wherever the mouse is"),
])  # fmt: skip
def test_what_counts_as_the_same_action(screen, true, given, right, reason):
    assert figures.does_the_same(screen, given, true) is right, reason


def test_any_figure_that_the_goal_fits_is_right():
    figures_seen = [Element("shape", (x, 20, x + 30, 50), 0, name) for x, name in ((10, "large red circle"), (60, "small red circle"), (110, "small blue circle"))]
    drawing = Screen(Image.new("RGB", (320, 320)), "computer_use", "", "", [], [], figures_seen, [])
    click = lambda x: dict(action="left_click", coordinate=[round(1000 * x / 320), round(1000 * 35 / 320)])  # noqa: E731
    for goal, x, right in (("Click on a red item", 75, True), ("Click on a red item", 125, False), ("Click on a large circle", 75, False), ("Click on a large circle", 30, True)):
        assert figures.does_the_same(drawing, click(x), click(25), goal) is right, goal


@pytest.mark.parametrize(("change", "figure", "wanted", "reason"), [
    (lambda case: case.turn.answer + "\nDone.", "right", 1, "words behind the call"),
    (lambda case: "I would tap it.", "call can be carried out", 0, "no call"),
    (lambda case: case.turn.answer.replace("}}", ', "speed": 2}}'), "call can be carried out", 0, "an argument that is not there"),
    (lambda case: case.turn.answer.replace("_use", "_uses"), "right", 0, "another tool"),
    (lambda case: write_call(case.world.tool, {"action": "wait", "time": 1}), "same action", 0, "another action"),
])  # fmt: skip
def test_what_wrong_calls_cost(run, change, figure, wanted, reason):
    for case in run["next_action"]:
        case.reply = change(case)
    assert figures.actions(run["next_action"])[figure] == wanted, reason


def test_a_click_counts_inside_the_box_alone(run):
    for case in run["tap"]:
        arguments = dict(call_of(case.turn.answer)["arguments"], coordinate=[990, 990])
        case.reply = write_call(case.world.tool, arguments)
    assert run["tap"] and set(figures.clicks(run["tap"]).values()) == {0.0}
    for case in run["point"]:
        case.reply = json.dumps([{"point_2d": [990, 990]}])
    assert run["point"] and set(figures.points(run["point"]).values()) == {0.0}


def test_wrong_calls_are_drawn(run, tmp_path):
    for case in run["next_action"]:
        case.reply = write_call(case.world.tool, {"action": CLICK[case.world.tool], "coordinate": [990, 990]})
    failures.save_failures({"next_action": run["next_action"]}, figures.MEASURE, tmp_path, most=2)
    first = sorted(tmp_path.glob("next_action/*.png"))
    assert len(first) == 2 and "--- answer\n<tool_call>" in first[0].with_suffix(".txt").read_text()
    without = failures.panel(run["next_action"][0], "")
    assert np.any(np.asarray(failures.panel(run["next_action"][0], run["next_action"][0].reply)) != np.asarray(without))


def test_without_shards_the_error_names_the_command(monkeypatch):
    monkeypatch.delenv(screen_shards.FOLDER_VARIABLE, raising=False)
    with pytest.raises(FileNotFoundError, match=r"python -m cookbook_utils\.tiny\.screens"):
        evaluate.MEASURES["screens"].questions(2)
