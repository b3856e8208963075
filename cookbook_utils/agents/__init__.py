"""Agents: a model looks at a screen, acts on it, and looks again, until a goal is reached.

    schemas.py       the tools that a model may call, and the check of its calls
    environment.py   what an agent acts in: screenshot, act, close
    browser.py       a web page with mouse and keyboard; chromium.py runs the browser, gate.py guards the way out
    touch.py         a web page on a touch screen
    android.py       a phone over adb
    still.py         a plain screenshot on which actions are only drawn
    loop.py          the loop itself, and the one function that makes its messages
    thinking.py      a picture looked at closer and closer, until a question is answered
    image_search.py  pictures like a picture: a local index, and the web
    record.py        what happened: kept, drawn, replayed
    safety.py        what needs a person's consent
    miniwob.py       the MiniWoB++ tasks; phone.py: a phone of our own, phone_goals.py what to do on it
    baselines.py     a model that acts at random, and one that knows
    benchmark.py     the success tables, one command each

Names are loaded when they are first used; playwright and adbutils only by the environments that need them.
"""

from importlib import import_module

_MODULE_OF = {
    "Android": "android", "Browser": "browser", "Chromium": "chromium", "Environment": "environment",
    "ImageIndex": "image_search", "Look": "thinking", "MiniWob": "miniwob", "Phone": "phone", "Record": "record", "Risk": "safety",
    "Step": "record", "Still": "still", "Target": "environment", "Thought": "thinking", "ToolError": "schemas",
    "TouchScreen": "touch", "WebSearch": "image_search", "draw_action": "record", "run": "loop", "step_messages": "loop",
    "think": "thinking", "thinking_messages": "thinking", "tool_prompt": "schemas", "tool_schemas": "schemas",
    "validate_call": "schemas", "zoom_in": "thinking",
}  # fmt: skip

__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(sorted(_MODULE_OF))}")
    value = globals()[name] = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE_OF})
