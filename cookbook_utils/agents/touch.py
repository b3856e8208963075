"""A touch screen as an environment: Chromium as a mobile device, with real touch events.

Fingers are sent through the DevTools protocol (`Input.dispatchTouchEvent`), so that the page sees touch events, and the
browser itself makes taps and scrolling of them, as on a phone. `system_button` and `open` are offered to the
page first, as cancelable events `systembutton` and `openapp` on its document (`detail` is the button or the app's name): a
page that plays a whole phone takes them; on any other page Back goes back, Home returns to the first page, and there are
no apps to open.

Sources: Chrome DevTools protocol, domain Input; Android's KeyEvent names for `key`.
"""

from __future__ import annotations

from .browser import Browser
from .schemas import ToolError

__all__ = ["TouchScreen"]

_LONG_PRESS_S = 0.6  # half a second is long on Android
_SWIPE_STEPS = 12
_SWIPE_S = 0.2
_KEYS = {
    "enter": "Enter", "del": "Backspace", "backspace": "Backspace", "forward_del": "Delete", "tab": "Tab", "space": "Space",
    "escape": "Escape", "dpad_up": "ArrowUp", "dpad_down": "ArrowDown", "dpad_left": "ArrowLeft", "dpad_right": "ArrowRight",
    "move_home": "Home", "move_end": "End", "page_up": "PageUp", "page_down": "PageDown",
}  # fmt: skip
_BUTTONS = {"back": "Back", "home": "Home", "menu": "Menu", "app_switch": "Menu"}
_WITHOUT_EFFECT = ("volume_up", "volume_down", "volume_mute", "power", "camera", "mute")

_OFFER = "([name, detail]) => !document.dispatchEvent(new CustomEvent(name, {detail, cancelable: true}))"
# Headless Chromium makes no long press of a finger that rests. What Android's makes of it is made here: a context menu while
# the finger is down; then the touch is cancelled, so that no click follows.
_LONG_PRESSED = """([x, y]) => {
  const options = {bubbles: true, cancelable: true, composed: true, pointerType: 'touch', clientX: x, clientY: y};
  (document.elementFromPoint(x, y) || document).dispatchEvent(new PointerEvent('contextmenu', options)); }"""
_TYPES = """() => { let node = document.activeElement;
  while (node && node.shadowRoot && node.shadowRoot.activeElement) node = node.shadowRoot.activeElement;
  return !!node && (node.matches('input,textarea,iframe') || node.isContentEditable); }"""
_CLEAR = """() => { const node = document.activeElement; if ('value' in node) { node.value = '';
  node.dispatchEvent(new Event('input', {bubbles: true})); } else if (node.isContentEditable) node.textContent = ''; }"""


class TouchScreen(Browser):
    """A web page on a touch screen; arguments as in `Browser`, `size` by default that of a small phone."""

    tool = "mobile_use"

    def __init__(self, url: str = "about:blank", *, size: tuple[int, int] = (360, 640), scale: float = 2.0, **options):
        super().__init__(url, size=size, scale=scale, **{"is_mobile": True, "has_touch": True, **options})

    def _touch(self, kind: str, *points: tuple[float, float]) -> None:
        parameters = {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
        self._session.send("Input.dispatchTouchEvent", parameters)

    @property
    def _session(self):
        """The DevTools session of the page on the screen."""
        page = self._page
        if getattr(self, "_talks_to", (None,))[0] is not page:
            self._talks_to = page, self._context.new_cdp_session(page)
        return self._talks_to[1]

    def _click(self, action: dict, **_) -> None:
        self._touch("touchStart", self._point(action["coordinate"]))
        self._touch("touchEnd")
        self._evaluated("() => new Promise(requestAnimationFrame)")  # the browser makes the click a little later

    def _long_press(self, action: dict) -> None:
        point = self._point(action["coordinate"])
        self._touch("touchStart", point)
        self._page.wait_for_timeout(1000 * max(action.get("time", _LONG_PRESS_S), _LONG_PRESS_S))
        self._evaluated(_LONG_PRESSED, [*point])
        self._touch("touchCancel")

    def _swipe(self, action: dict) -> None:
        (x1, y1), (x2, y2) = self._point(action["coordinate"]), self._point(action["coordinate2"])
        self._touch("touchStart", (x1, y1))
        for step in range(1, _SWIPE_STEPS + 1):
            share = step / _SWIPE_STEPS
            self._touch("touchMove", (x1 + (x2 - x1) * share, y1 + (y2 - y1) * share))
            self._page.wait_for_timeout(1000 * _SWIPE_S / _SWIPE_STEPS)
        self._page.wait_for_timeout(100)  # a finger that rests before it is lifted throws nothing
        self._touch("touchMove", (x2, y2))
        self._touch("touchEnd")

    def _type(self, action: dict) -> None:
        if not self._evaluated(_TYPES):
            raise ToolError("no text field is active; tap one first")
        super()._type(action)

    def _key(self, action: dict) -> None:
        name = action["text"].lower().removeprefix("keycode_")
        if name in _BUTTONS:
            self._system_button({"button": _BUTTONS[name]})
        elif name == "clear":
            self._evaluated(_CLEAR)
        elif name in _KEYS:
            self._page.keyboard.press(_KEYS[name])
        elif name not in _WITHOUT_EFFECT:
            known = ", ".join([*_BUTTONS, "clear", *_KEYS, *_WITHOUT_EFFECT])
            raise ToolError(f"there is no key {action['text']!r}; there is {known}")

    def _system_button(self, action: dict) -> None:
        button = action["button"]
        if button == "Enter":
            self._page.keyboard.press("Enter")
        elif self._evaluated(_OFFER, ["systembutton", button]):
            pass
        elif button == "Back":
            self._page.go_back(wait_until="commit")
        elif button == "Home":
            self._go(self._start)

    def _open(self, action: dict) -> None:
        if not self._evaluated(_OFFER, ["openapp", action["text"]]):
            raise ToolError(f"there is no app {action['text']!r} here")
