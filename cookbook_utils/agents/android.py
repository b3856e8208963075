"""A real Android phone as an environment, over adb: its screen, taps, swipes, typing, buttons, apps.

On the phone: developer options, USB debugging, a cable or `adb connect`; on this machine an adb server, which the `adbutils`
package can start. Everything sent is one of Android's own input commands with quoted arguments; the model gets no shell.

Typing: Android's `input text` knows ASCII only. For other scripts install ADBKeyBoard and choose it as the input method;
without it such a text is a tool error that says so. The screen's controls are read with uiautomator, so that buying,
deleting and typing secrets can be asked about; where it cannot read them (video, games) nothing is known of a control.

Sources: the adb protocol (OVERVIEW.TXT, SERVICES.TXT), Android's `input`, `cmd package`, `am`; KeyEvent's names.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from xml.etree import ElementTree

from PIL import Image

from .environment import Environment, Target
from .schemas import ToolError

__all__ = ["Android"]

_BUTTONS = {"Back": "KEYCODE_BACK", "Home": "KEYCODE_HOME", "Menu": "KEYCODE_APP_SWITCH", "Enter": "KEYCODE_ENTER"}
_KEYBOARD = "com.android.adbkeyboard"
_DUMP = "/data/local/tmp/cookbook_screen.xml"
_LAUNCHER = ["-a", "android.intent.action.MAIN", "-c", "android.intent.category.LAUNCHER"]
_SWIPE_MS, _LONG_PRESS_MS = 300, 800
_TIMEOUT_S = 30
# Names that do not stand in their package's name.
_KNOWN = {"play store": "com.android.vending", "messages": "messaging", "clock": "deskclock", "phone": "dialer", "files": "documentsui",
          "browser": "chrome", "gallery": "photos"}  # fmt: skip


class Android(Environment):
    """A phone or an emulator.

    serial: which one, as `adb devices` lists it; None if there is one only. host, port: of the adb server.
    settle_s: pause after each action. hosts: for the loop's check of links, by default all: adb cannot hold a phone back.
    Raises ConnectionError when there is no such device or no adb server, ModuleNotFoundError without adbutils.
    """

    tool = "mobile_use"

    def __init__(self, serial: str | None = None, *, host: str = "127.0.0.1", port: int = 5037, settle_s: float = 1.0,
                 hosts: tuple[str, ...] = ("*",)):  # fmt: skip
        import adbutils

        self._errors, self._settle_s, self.hosts = (adbutils.AdbError, OSError), settle_s, hosts
        try:
            self._device = adbutils.AdbClient(host, port).device(serial)
            self.size = self.screenshot().size
        except (*self._errors, RuntimeError) as error:
            raise ConnectionError(f"serial: no device {serial or ''} at {host}:{port}: {error}; see adb devices") from error

    def screenshot(self) -> Image.Image:
        image = self._device.screenshot(error_ok=False).convert("RGB")
        self.size = image.size  # it changes when the phone is turned
        return image

    def act(self, action: dict) -> str:
        handler = self.handler(action)
        try:
            handler(action)
        except self._errors as error:
            raise ToolError(f"the phone did not answer: {error}") from error
        if action["action"] != "wait":
            time.sleep(self._settle_s)
        return ""

    def target(self, action: dict) -> Target | None:
        """The control under the finger, or the field with the focus, as uiautomator knows them."""
        nodes = list(self._nodes())
        if "coordinate" in action:
            x, y = self.pixel(action["coordinate"])
            under = [node for node in nodes if node["left"] <= x < node["right"] and node["top"] <= y < node["bottom"]]
            controls = [node for node in under if node["clickable"]] or under
            found = min(controls, key=lambda node: (node["right"] - node["left"]) * (node["bottom"] - node["top"]), default=None)
        else:
            found = next((node for node in nodes if node["focused"]), None)
        return found and Target(found["words"], found["secret"])

    # --- the screen's controls --------------------------------------------------------------------------------------

    def _nodes(self) -> Iterator[dict]:
        try:
            dump = self._shell(f"uiautomator dump {_DUMP} >/dev/null && cat {_DUMP}")
            root = ElementTree.fromstring(dump[dump.index("<") :])
        except (ValueError, ElementTree.ParseError, *self._errors):
            return  # the screen cannot be read just now
        for node in root.iter("node"):
            sides = re.findall(r"-?\d+", node.get("bounds", ""))
            if len(sides) != 4:
                continue
            said = [part for inner in node.iter("node") for part in (inner.get("text"), inner.get("content-desc")) if part]
            yield {
                **dict(zip(("left", "top", "right", "bottom"), map(int, sides), strict=True)),
                "words": " ".join(dict.fromkeys(said)), "secret": node.get("password") == "true",
                "clickable": node.get("clickable") == "true", "focused": node.get("focused") == "true",
            }  # fmt: skip

    def _shell(self, command: str | list[str]) -> str:
        return self._device.shell(command, timeout=_TIMEOUT_S)

    def _input(self, *words) -> None:
        self._shell(["input", *map(str, words)])

    def _pixel(self, coordinate) -> tuple[int, int]:
        x, y = self.pixel(coordinate)
        return round(x), round(y)

    # --- actions ----------------------------------------------------------------------------------------------------

    def _click(self, action: dict) -> None:
        self._input("tap", *self._pixel(action["coordinate"]))

    def _long_press(self, action: dict) -> None:
        place = self._pixel(action["coordinate"])
        self._input("swipe", *place, *place, round(1000 * action.get("time", 0)) or _LONG_PRESS_MS)

    def _swipe(self, action: dict) -> None:
        self._input("swipe", *self._pixel(action["coordinate"]), *self._pixel(action["coordinate2"]), _SWIPE_MS)

    def _type(self, action: dict) -> None:
        text = action["text"]
        if _KEYBOARD in self._shell(["settings", "get", "secure", "default_input_method"]):
            words = base64.b64encode(text.encode()).decode()
            self._shell(["am", "broadcast", "-a", "ADB_INPUT_B64", "--es", "msg", words])
        elif not text.isascii():
            raise ToolError("this phone takes only ASCII from here; ask the user to install ADBKeyBoard for other scripts")
        else:
            self._type_ascii(text)

    def _type_ascii(self, text: str) -> None:
        """`input text` reads %s as a space, so that a % goes alone, and takes no line breaks."""
        for number, line in enumerate(text.split("\n")):
            if number:
                self._input("keyevent", "KEYCODE_ENTER")
            for piece in filter(None, re.split("(%)", line)):
                self._input("text", piece.replace(" ", "%s"))

    def _key(self, action: dict) -> None:
        name = action["text"].strip().upper().removeprefix("KEYCODE_")
        if name == "CLEAR":
            self._input("keycombination", "KEYCODE_CTRL_LEFT", "KEYCODE_A")
            name = "DEL"
        if not re.fullmatch(r"[A-Z0-9_]+", name):
            raise ToolError(f"there is no key {action['text']!r}; use names such as volume_up, power, camera, clear")
        self._input("keyevent", f"KEYCODE_{name}")

    def _system_button(self, action: dict) -> None:
        self._input("keyevent", _BUTTONS[action["button"]])

    def _open(self, action: dict) -> None:
        apps = self._apps()
        wanted = action["text"].strip().lower()
        keys = [key.replace(" ", "") for key in (_KNOWN.get(wanted, wanted), wanted)]
        found = [app for key in keys for app in apps if key in app.lower().partition("/")[0]]
        if not found:
            raise ToolError(
                f"there is no app {action['text']!r}; there is {', '.join(app.partition('/')[0] for app in apps[:30])}"
            )
        self._shell(["am", "start", "-n", min(found, key=len)])

    def _apps(self) -> list[str]:
        """The components that the launcher shows."""
        lines = self._shell(["cmd", "package", "query-activities", "--brief", *_LAUNCHER]).split()
        return [line for line in lines if re.fullmatch(r"[\w.]+/[\w.$]+", line)]

    def _wait(self, action: dict) -> None:
        time.sleep(action["time"])
