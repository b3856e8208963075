"""A real web page as an environment: Chromium with mouse and keyboard, through Playwright.

Units: `size` is the page's size in CSS pixels, `scale` the device scale factor, pictures are size x scale. Coordinates come
on the 0-1000 grid of the picture. `scroll` and `hscroll` count the picture's pixels.

What happens to a page does not end a run: a dialog is answered and told, a new tab becomes the screen, a lost or hanging
page is opened again, and a page that never loads is told. Downloads are off, files cannot be opened, and nothing leaves but
through the `Gate`. Needs the `playwright` package and Chromium, see `chromium.py`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from .chromium import BrowserGone, Chromium
from .environment import Environment, Target, inside
from .gate import Gate
from .safety import host_allowed
from .schemas import ToolError

__all__ = ["Browser"]

_KEYS = {
    "ctrl": "Control", "control": "Control", "alt": "Alt", "option": "Alt", "shift": "Shift", "super": "Meta",
    "win": "Meta", "meta": "Meta", "cmd": "Meta", "command": "Meta", "enter": "Enter", "return": "Enter",
    "esc": "Escape", "escape": "Escape", "tab": "Tab", "space": "Space", "backspace": "Backspace", "delete": "Delete",
    "del": "Delete", "insert": "Insert", "home": "Home", "end": "End", "pageup": "PageUp", "page_up": "PageUp",
    "pgup": "PageUp", "pagedown": "PageDown", "page_down": "PageDown", "pgdn": "PageDown", "up": "ArrowUp",
    "down": "ArrowDown", "left": "ArrowLeft", "right": "ArrowRight", "arrowup": "ArrowUp", "arrowdown": "ArrowDown",
    "arrowleft": "ArrowLeft", "arrowright": "ArrowRight", "capslock": "CapsLock",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
}  # fmt: skip

# What lies at a point, or has the keyboard's focus: the control's words, whether it takes a secret, where it leads.
_TARGET = r"""(point) => {
  let node = point ? document.elementFromPoint(point[0], point[1]) : document.activeElement;
  while (node && node.shadowRoot) {
    const inner = point ? node.shadowRoot.elementFromPoint(point[0], point[1]) : node.shadowRoot.activeElement;
    if (!inner || inner === node) break;
    node = inner;
  }
  if (!node || node === document.body || node === document.documentElement) return null;
  const control = node.closest('a,button,input,textarea,select,label,summary,[role],[onclick],[tabindex],[contenteditable]') || node;
  const field = control.matches('label') && control.control || control;
  const words = [control.innerText, field.getAttribute('aria-label'), field.getAttribute('title'), field.placeholder,
                 field.matches('input') && /^(submit|button|reset|image)$/.test(field.type) ? field.value || field.alt || field.type : '',
                 ...[...(field.labels || [])].map(label => label.innerText)];
  const form = field.form, submits = /^(submit|image)$/.test(field.type) || !point && field.matches('input');
  if (form && submits) {
    const button = form.querySelector('button:not([type=button]),input[type=submit],input[type=image]');
    if (button) words.push(button.innerText || button.value);
  }
  const hints = [field.type, field.autocomplete, field.name, field.id, field.placeholder].join(' ');
  const secret = field.matches('input,textarea') && (field.type === 'password' ||
    /\b(current-password|new-password|one-time-code|cc-(number|csc|exp\w*))\b|passw|passcode|passphrase|\b(pin|otp|cvv|cvc|ssn)\b|card.?number|密码|验证码/i.test(hints));
  const link = node.closest('a[href]');
  const goes = link ? link.href : form && submits ? form.action : '';
  return {words: [...new Set(words.filter(Boolean).map(text => text.replace(/\s+/g, ' ').trim()))].join(' '),
          secret, url: /^(https?|wss?):/.test(goes) ? goes : ''};
}"""


class Browser(Environment):
    """A web page in a browser of its own, or in a shared one.

    url: the first page; size: `(width, height)` of the page in CSS pixels; scale: device scale factor;
    clip: `(x, y, width, height)` of the page that is the screen, in CSS pixels, by default all of it;
    hosts: what may be spoken to besides the first page's host, see `host_allowed`; folders: `{host: folder}` to serve
    from this machine; chromium: a running browser to share; load_timeout_s: how long a page may take;
    settle_s: pause after each action; answer_dialog: called with a dialog's kind and text, says whether to accept it (by
    default only what has a single button is); options: further ones of Playwright's `new_context`.

    Raises FileNotFoundError without Chromium, ModuleNotFoundError without playwright.
    """

    tool = "computer_use"

    def __init__(
        self, url: str = "about:blank", *, size: tuple[int, int] = (1280, 720), scale: float = 1.0,
        clip: tuple[int, int, int, int] | None = None, hosts: Iterable[str] = (), folders: Mapping[str, Path] | None = None,
        chromium: Chromium | None = None, load_timeout_s: float = 15, settle_s: float = 0.3,
        answer_dialog: Callable[[str, str], bool] | None = None, **options,
    ):  # fmt: skip
        self._clip = clip or (0, 0, *size)
        self.size = (round(self._clip[2] * scale), round(self._clip[3] * scale))
        self.scale = scale
        self._viewport, self._options = size, options
        self._load_timeout_s, self._settle_s = load_timeout_s, settle_s
        self._answer_dialog = answer_dialog or (lambda kind, text: kind in ("alert", "beforeunload"))
        host = urlsplit(url).netloc
        self._gate = Gate(filter(None, [*hosts, host if host not in (folders or {}) else ""]), folders)
        self._own = chromium is None
        self._chromium = chromium or Chromium()
        self._context, self._pages, self._notes, self._pointer = None, [], [], (0.0, 0.0)
        self._lost = False
        self.open(url)

    # --- the interface ----------------------------------------------------------------------------------------------

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that may be spoken to, those served from folders included."""
        return (*self._gate.hosts, *self._gate.folders)

    @property
    def refused(self) -> list[str]:
        """The hosts that the browser asked for, whatever for, and that are not on the allow-list."""
        return list(self._gate.refused)

    @property
    def url(self) -> str:
        """The address of the page on the screen."""
        return self._pages[-1].url if self._pages else self._start

    def allow(self, host: str) -> None:
        self._gate.hosts.append(host)

    def open(self, url: str) -> None:
        """Go to a page; that it does not load is told with the next action."""
        self._start = url
        self._call(lambda: self._go(url))

    def screenshot(self) -> Image.Image:
        clip = dict(zip(("x", "y", "width", "height"), self._clip, strict=True))
        options = {"scale": "device", "timeout": 1000 * self._load_timeout_s, "clip": clip}
        data = self._call(lambda: self._page.screenshot(**options), again=True)
        return Image.open(io.BytesIO(data)).convert("RGB")

    def act(self, action: dict) -> str:
        handler = self.handler(action)
        self._call(lambda: self._do(handler, action))
        notes, self._notes = dict.fromkeys(self._notes), []
        return "; ".join(notes)

    def target(self, action: dict) -> Target | None:
        point = [*self._point(action["coordinate"])] if "coordinate" in action else None
        if action["action"].endswith("click") and point is None:
            point = [*self._pointer]
        found = self.evaluate(_TARGET, point)
        return Target(**found) if found else None

    def evaluate(self, script: str, argument=None):
        """What a script gives in the page on the screen; None if the page was lost meanwhile."""
        return self._call(lambda: self._evaluated(script, argument))

    def _evaluated(self, script: str, argument=None):
        from playwright.sync_api import Error

        try:
            return self._page.evaluate(script, argument)
        except Error as error:
            if "context was destroyed" not in str(error):
                raise
        self._settle()  # the page was just leaving for the next one
        return self._page.evaluate(script, argument)

    def close(self) -> None:
        if self._context is not None:
            with suppress(Exception):  # a lost browser has nothing left to close
                self._chromium.call(self._context.close, timeout_s=15)
            self._context = None
            self._gate.close()
        if self._own:
            self._chromium.close()

    # --- pages, and what becomes of them ----------------------------------------------------------------------------

    @property
    def _page(self):
        if self._lost or not self._pages or not self._chromium.alive:
            raise BrowserGone("the page is gone")
        return self._pages[-1]

    def _call(self, work: Callable, again: bool = False):
        """Work in the browser's thread. A lost page is opened again, and the work is done again only if that is harmless."""
        for address in (self.url, "about:blank"):  # the second: a page that cannot be shown at all
            try:
                return self._chromium.call(work, timeout_s=4 * self._load_timeout_s)
            except ToolError:
                raise
            except Exception as error:
                if not self._is_loss(error):
                    raise ToolError(f"the browser could not do that: {str(error).splitlines()[0]}") from error
            self._notes.append("the page was lost and has been opened again; what was typed there is gone")
            self._chromium.call(self._reopen, address, timeout_s=4 * self._load_timeout_s)
            if not again:
                return None
        return self._chromium.call(work, timeout_s=4 * self._load_timeout_s)

    def _is_loss(self, error: Exception) -> bool:
        from playwright.sync_api import Error
        from playwright.sync_api import TimeoutError as TooSlow

        if not isinstance(error, (Error, BrowserGone)):
            raise error  # a fault of ours
        gone = isinstance(error, (BrowserGone, TooSlow)) or self._lost or not self._chromium.alive
        return gone or not self._pages or self._pages[-1].is_closed()

    def _reopen(self, address: str) -> None:
        if self._context is not None:
            with suppress(Exception):  # it may be what was lost
                self._context.close()
        self._context = None
        self._go(address)

    def _go(self, url: str) -> None:
        from playwright.sync_api import Error

        if self._context is None or not self._chromium.alive or self._lost:
            self._new_context()
        try:
            self._page.goto(url, timeout=1000 * self._load_timeout_s, wait_until="load")
            # Nothing lies behind the first page: a swipe to the side would go back to the empty page before it.
            self._context.new_cdp_session(self._page).send("Page.resetNavigationHistory")
        except Error as error:
            self._notes.append(f"{url} did not load: {str(error).splitlines()[0].removeprefix('Page.goto: ')}")

    def _new_context(self) -> None:
        self._pages, self._lost = [], False
        width, height = self._viewport
        self._context = self._chromium.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=self.scale, accept_downloads=False,
            service_workers="block", reduced_motion="reduce", proxy={"server": self._gate.url, "bypass": "<-loopback>"},
            **self._options,
        )  # fmt: skip
        self._context.on("page", self._follow)
        self._context.on("request", self._asked)
        self._context.new_page()

    def _follow(self, page) -> None:
        """A new page becomes the screen; what it does without being asked is noted."""
        if self._pages:
            self._notes.append("a new tab was opened and is shown now")
        self._pages.append(page)
        page.set_default_timeout(1000 * self._load_timeout_s)
        page.on("crash", self._crashed)
        page.on("close", self._closed)
        page.on("dialog", self._dialog)
        page.on("download", lambda download: self._notes.append(f"the download of {download.suggested_filename!r} was refused"))
        page.on("filechooser", lambda _: self._notes.append("the page asked for a file; none was given"))

    def _asked(self, request) -> None:
        """Tells of a page that was not reached; what else a page asks for in vain (pictures, counters) is in `refused`."""
        host = urlsplit(request.url).netloc
        if not host or not request.is_navigation_request() or host_allowed(host, self.hosts):
            return
        with suppress(Exception):  # a page so new that Playwright does not know its frame is no frame within another
            if request.frame.parent_frame:
                return
        self._notes.append(f"{host} is not on the allow-list and was not reached")

    def _crashed(self, page) -> None:
        self._lost = self._lost or page is self._pages[-1]

    def _closed(self, page) -> None:
        if page in self._pages:
            self._pages.remove(page)
            if self._pages:
                self._notes.append("the tab was closed; the one before is shown now")

    def _dialog(self, dialog) -> None:
        accepted = self._answer_dialog(dialog.type, dialog.message)
        with suppress(Exception):  # the page may have closed it by leaving
            dialog.accept() if accepted else dialog.dismiss()
        if dialog.type != "beforeunload":
            done = "accepted" if accepted else "dismissed"
            self._notes.append(f"the page showed a dialog ({dialog.type}): {dialog.message[:200]!r}; it was {done}")

    def _do(self, handler: Callable[[dict], object], action: dict) -> None:
        from playwright.sync_api import Error

        page = self._page
        try:
            handler(action)
            self._settle()
        except Error:
            if not page.is_closed() or not self._pages:
                raise
            self._settle()  # the action closed its own tab, and another is there

    def _settle(self) -> None:
        from playwright.sync_api import TimeoutError as TooSlow

        if self._settle_s:
            self._page.wait_for_timeout(1000 * self._settle_s)
        try:
            self._page.wait_for_load_state("load", timeout=1000 * self._load_timeout_s)
        except TooSlow:
            self._notes.append(f"the page is still loading after {self._load_timeout_s:g} s")

    # --- actions ----------------------------------------------------------------------------------------------------

    def _point(self, coordinate: list) -> tuple[float, float]:
        """A grid point in CSS pixels of the page."""
        x, y = inside(coordinate, self._clip[2:])
        return x + self._clip[0], y + self._clip[1]

    def _mouse_move(self, action: dict) -> None:
        if "coordinate" in action:
            self._pointer = self._point(action["coordinate"])
        self._page.mouse.move(*self._pointer)

    def _click(self, action: dict, **options) -> None:
        self._mouse_move(action)
        self._page.mouse.click(*self._pointer, **options)

    def _left_click(self, action: dict) -> None:
        self._click(action)

    def _right_click(self, action: dict) -> None:
        self._click(action, button="right")

    def _middle_click(self, action: dict) -> None:
        self._click(action, button="middle")

    def _double_click(self, action: dict) -> None:
        self._click(action, click_count=2)

    def _triple_click(self, action: dict) -> None:
        self._click(action, click_count=3)

    def _left_click_drag(self, action: dict) -> None:
        self._page.mouse.move(*self._pointer)
        self._page.mouse.down()
        self._pointer = self._point(action["coordinate"])
        self._page.mouse.move(*self._pointer, steps=10)
        self._page.mouse.up()

    def _scroll(self, action: dict) -> None:
        self._mouse_move(action)
        self._page.mouse.wheel(0, -action["pixels"] / self.scale)

    def _hscroll(self, action: dict) -> None:
        self._mouse_move(action)
        self._page.mouse.wheel(action["pixels"] / self.scale, 0)

    def _type(self, action: dict) -> None:
        self._page.keyboard.type(action["text"])

    def _key(self, action: dict) -> None:
        from playwright.sync_api import Error

        keys = "+".join(_KEYS.get(key, key) for key in action["keys"])
        try:
            self._page.keyboard.press(keys)
        except Error as error:
            if "Unknown key" not in str(error):
                raise
            raise ToolError(f"there is no key {keys!r}; use names such as enter, tab, ctrl, pagedown, f5") from error

    def _wait(self, action: dict) -> None:
        self._page.wait_for_timeout(1000 * action["time"])
