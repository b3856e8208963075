"""The closed loop: show the model the screen, do what it says, show it what came of it, until it is done.

    record = run(model, environment, "Turn on Bluetooth", max_steps=10)

Each turn asks with what `step_messages` builds, in Qwen's published form: one user turn with the current screenshot, then
the goal and the earlier steps as text. A call that is wrong, refused or impossible is a step like any other, and its error
stands among the steps that the model reads next; the model's mistakes never raise, ours and the model server's do.

What a page says is shown to the model and nothing more: whether an action is allowed is decided by the action, by what it
would meet, and by the person behind `confirm`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from PIL import Image, ImageChops

from ..parsing import parse_tool_calls
from .environment import Environment
from .record import Record, Step
from .safety import Risk, risk_of
from .schemas import ToolError, tool_schemas, validate_call

__all__ = ["run", "same_screen", "step_messages"]

Extra = Mapping[str, Callable[[dict, Image.Image], str]]
_TOKEN_SIDE = 32  # pixels a side of one visual token


def step_messages(goal: str, steps: Sequence[Step], screenshots: Sequence[Image.Image]) -> list[dict]:
    """The messages that ask for the next step.

    steps: those taken so far; screenshots: the screens to show, the current one last; an earlier one is shown for each
    more, followed by the model's own reply to it. Pictures are shown at their own resolution. The tools are not in here:
    pass them as `tools=`, the chat template makes the system turn of them.
    Raises ValueError without a screenshot, or with more than the steps account for.

    >>> [part["type"] for part in step_messages("Buy milk", [], [Image.new("RGB", (64, 64))])[0]["content"]]
    ['image', 'text']
    """
    if not 1 <= len(screenshots) <= len(steps) + 1:
        raise ValueError(f"screenshots: expected 1 to {len(steps) + 1} for {len(steps)} steps, got {len(screenshots)}")
    told = len(steps) + 1 - len(screenshots)
    progress = "; ".join(f"Step {number}: {step.summary}" for number, step in enumerate(steps[:told], 1))
    text = f"The user query: {goal}\nTask progress (You have done the following operation on the current device): {progress}\n"
    messages = [{"role": "user", "content": [_shown(screenshots[0]), {"type": "text", "text": text}]}]
    for step, screenshot in zip(steps[told:], screenshots[1:], strict=True):
        messages.append({"role": "assistant", "content": step.reply or step.summary})
        result = step.error and f"error: {step.error}" or step.observation
        messages.append(
            {"role": "user", "content": [_shown(screenshot), *([{"type": "text", "text": result}] if result else [])]}
        )
    return messages


def run(
    model, environment: Environment, goal: str, *, max_steps: int = 15, max_seconds: float = 300, keep_screenshots: int = 1,
    confirm: Callable[[Risk], bool] | None = None, tools: Extra | None = None, repeats: int = 3,
    on_step: Callable[[Record], object] | None = None, **generation,
) -> Record:  # fmt: skip
    """Let a model pursue a goal in an environment, and return the record of what it did.

    model: anything with `chat(messages, tools=...)` that returns a `Reply`; generation: settings for that call.
    max_steps, max_seconds: limits; the time is looked at between steps. keep_screenshots: how many of the last screens the
    model sees, older steps it reads as text. confirm: asked before an action with a `Risk`; without it such an action is
    refused. tools: further tools by name, each a function of its arguments and the screen that returns a text.
    repeats: so many times the same call on an unchanged screen end the run. on_step: called after each step.
    Raises ValueError for a limit below 1 or an unknown tool, and whatever the model raises.
    """
    limits = {"max_steps": max_steps, "max_seconds": max_seconds, "keep_screenshots": keep_screenshots, "repeats": repeats}
    for name, value in limits.items():
        if not value >= 1:
            raise ValueError(f"{name} must be at least 1, got {value!r}")
    extra = dict(tools or {})
    schemas = tool_schemas(environment.tool, *extra)
    record, began = Record(goal, environment.tool, last=environment.screenshot()), time.monotonic()
    while not record.stopped:
        turn_began = time.monotonic()
        messages = step_messages(goal, record.steps, _screens(record, keep_screenshots))
        reply = model.chat(messages, tools=schemas, **generation)
        record.steps.append(_step(reply, record.last, environment, extra, confirm))
        record.last = environment.screenshot()
        record.steps[-1].seconds, record.seconds = time.monotonic() - turn_began, time.monotonic() - began
        record.stopped = _why_stop(record, environment, limits)
        if on_step:
            on_step(record)
    return record


def same_screen(a: Image.Image, b: Image.Image) -> bool:
    """Whether two screens show exactly the same."""
    return a.size == b.size and ImageChops.difference(a.convert("RGB"), b.convert("RGB")).getbbox() is None


def _shown(screenshot: Image.Image) -> dict:
    """A screen as a part of a message, with a budget that leaves it at its own size."""
    width, height = (-(-side // _TOKEN_SIDE) * _TOKEN_SIDE for side in screenshot.size)
    return {"type": "image", "image": screenshot, "max_pixels": width * height}


def _screens(record: Record, count: int) -> list[Image.Image]:
    """The last screens, at most `count`, the current one last."""
    return [*(step.screenshot for step in record.steps), record.last][-count:]


def _step(reply, screenshot: Image.Image, environment: Environment, extra: Extra, confirm) -> Step:
    """Do what a reply says; whatever is wrong with it is the step's error."""
    step = Step(reply.text, screenshot=screenshot)
    try:
        name, arguments = _call_of(reply, [environment.tool, *extra])
        step.call = {"name": name, "arguments": arguments}
        if name in extra:
            step.observation = str(extra[name](arguments, screenshot))
        elif arguments["action"] not in ("terminate", "answer"):
            _ask_leave(arguments, environment, confirm)
            step.observation = environment.act(arguments)
    except ToolError as error:
        step.error = str(error)
    if len(reply.tool_calls) > 1:
        more = f"only the first of {len(reply.tool_calls)} calls was done"
        step.observation = "; ".join(filter(None, [step.observation, more]))
    return step


def _call_of(reply, tools: Iterable[str]) -> tuple[str, dict]:
    """Name and clean arguments of a reply's first call."""
    if not reply.tool_calls:
        lost = parse_tool_calls(reply.text).dropped
        raise ToolError(f"no tool call could be read{': ' + lost[0] if lost else ''}; write one as JSON within <tool_call> tags")
    call = reply.tool_calls[0]
    return call["name"], validate_call(call["name"], call["arguments"], tools)


def _ask_leave(action: dict, environment: Environment, confirm) -> None:
    """Raise ToolError for an action that needs a person's consent and has none."""
    risk = risk_of(action, environment.target(action), environment.hosts)
    if risk is None:
        return
    if confirm is None or not confirm(risk):
        raise ToolError(f"refused, the user has not agreed to {risk}")
    if risk.kind == "leave":
        environment.allow(risk.where)


def _why_stop(record: Record, environment: Environment, limits: dict) -> str:
    """Why a run ends after its last step, "" if it does not."""
    action = record.steps[-1].action
    if action.get("action") == "terminate":
        record.status = action["status"]
        return "terminate"
    if action.get("action") == "answer":
        record.answer = action["text"]
        return "answer"
    if environment.done:
        return "done"
    if _repeats(record, limits["repeats"]):
        return "repetition"
    if len(record.steps) >= limits["max_steps"]:
        return "max_steps"
    return "max_seconds" if record.seconds >= limits["max_seconds"] else ""


def _repeats(record: Record, count: int) -> bool:
    """Whether the last steps were all the same, and none of them changed the screen."""
    last = record.steps[-count:]
    same_call = len({step.reply if step.call is None else str(step.call) for step in last}) == 1
    return len(last) == count and same_call and all(same_screen(step.screenshot, record.last) for step in last)
