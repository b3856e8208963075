"""A phone over adb, played by a server that speaks the adb protocol on a loopback socket."""

import base64
import io
import shlex
import socket
import threading

import pytest
from PIL import Image

from cookbook_utils.agents.android import Android
from cookbook_utils.agents.loop import run
from cookbook_utils.agents.schemas import ToolError

SIZE = (1080, 2400)
SCREEN = """<?xml version='1.0' encoding='UTF-8' standalone='yes' ?><hierarchy rotation="0">
<node bounds="[0,0][1080,2400]" text="" content-desc="" clickable="false" focused="false" password="false">
 <node bounds="[40,200][1040,400]" text="" content-desc="" clickable="true" focused="false" password="false">
  <node bounds="[60,220][900,300]" text="Delete note" content-desc="" clickable="false" focused="false" password="false" /></node>
 <node bounds="[40,500][1040,700]" text="" content-desc="Password" clickable="true" focused="true" password="true" />
</node></hierarchy>"""
APPS = "2 activities found:\n  com.android.settings/.Settings\n  com.google.android.deskclock/com.android.deskclock.DeskClock\n"


class Phone:
    """The adb server and the phone behind it: answers shell commands from a table and notes all others."""

    def __init__(self, *serials):
        self.serials, self.did, self.keyboard, self.dump = serials, [], "com.android.inputmethod.latin/.LatinIME", SCREEN
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(near,), daemon=True).start()

    def talk(self, near):
        with near, near.makefile("rb") as words:
            while length := words.read(4):
                request = words.read(int(length, 16)).decode()
                if request.startswith("shell:"):
                    near.sendall(b"OKAY" + self.shell(request.removeprefix("shell:")))
                    return
                near.sendall(self.host(request))

    def host(self, request: str) -> bytes:
        block = lambda text: b"OKAY" + f"{len(text):04x}{text}".encode()
        serial = request.rpartition(":")[2]
        if request == "host:version":
            return block("0029")
        if request.startswith("host:devices"):
            return block("".join(f"{one}\tdevice\n" for one in self.serials))
        if request.startswith(("host:tport:serial:", "host:transport:")) and serial in self.serials:
            return b"OKAY" + (b"\1" + bytes(7) if "tport" in request else b"")
        why = f"device '{serial}' not found"
        return b"FAIL" + f"{len(why):04x}{why}".encode()

    def shell(self, command: str) -> bytes:
        words = shlex.split(command)
        if words[:1] == ["screencap"]:
            data = io.BytesIO()
            Image.new("RGBA", SIZE, (0, 90, 200, 255)).save(data, "PNG")
            return data.getvalue()
        if words[0] == "uiautomator":
            return self.dump.encode()
        if words[0] == "settings":
            return self.keyboard.encode()
        if words[:3] == ["cmd", "package", "query-activities"]:
            return APPS.encode()
        self.did.append(words)
        return b""


@pytest.fixture
def phone():
    one = Phone("emulator-5554")
    yield one
    one.listener.close()


@pytest.fixture
def android(phone):
    return Android(port=phone.port, settle_s=0)


def test_the_screen_is_the_phones(android):
    assert android.size == SIZE and android.screenshot().getpixel((5, 5)) == (0, 90, 200) and android.screenshot().mode == "RGB"


@pytest.mark.parametrize(("action", "sent"), [
    ({"action": "click", "coordinate": [500, 500]}, ["input tap 540 1200"]),
    ({"action": "click", "coordinate": [1000, 1000]}, ["input tap 1079 2399"]),
    ({"action": "long_press", "coordinate": [500, 250]}, ["input swipe 540 600 540 600 800"]),
    ({"action": "long_press", "coordinate": [500, 250], "time": 2}, ["input swipe 540 600 540 600 2000"]),
    ({"action": "swipe", "coordinate": [500, 750], "coordinate2": [500, 250]}, ["input swipe 540 1800 540 600 300"]),
    ({"action": "type", "text": "two words"}, ["input text two%swords"]),
    ({"action": "type", "text": "50%s\nup"}, ["input text 50", "input text %", "input text s", "input keyevent KEYCODE_ENTER", "input text up"]),
    ({"action": "key", "text": "volume_up"}, ["input keyevent KEYCODE_VOLUME_UP"]),
    ({"action": "key", "text": "KEYCODE_CAMERA"}, ["input keyevent KEYCODE_CAMERA"]),
    ({"action": "key", "text": "clear"}, ["input keycombination KEYCODE_CTRL_LEFT KEYCODE_A", "input keyevent KEYCODE_DEL"]),
    ({"action": "system_button", "button": "Back"}, ["input keyevent KEYCODE_BACK"]),
    ({"action": "system_button", "button": "Menu"}, ["input keyevent KEYCODE_APP_SWITCH"]),
    ({"action": "open", "text": "Settings"}, ["am start -n com.android.settings/.Settings"]),
    ({"action": "open", "text": "Clock"}, ["am start -n com.google.android.deskclock/com.android.deskclock.DeskClock"]),
    ({"action": "wait", "time": 0}, []),
])  # fmt: skip
def test_every_action_is_androids_own_command(android, phone, action, sent):
    assert android.act(action) == ""
    assert [" ".join(words) for words in phone.did] == sent


@pytest.mark.parametrize("text", ["; reboot", "$(reboot)", "a' && reboot '", "`reboot`", "x|sh", "> /sdcard/x"])
def test_what_is_typed_is_never_a_command(android, phone, text):
    android.act({"action": "type", "text": text})
    assert phone.did == [["input", "text", text.replace(" ", "%s")]], "one quoted word for the phone's shell"


@pytest.mark.parametrize(("action", "words"), [
    ({"action": "type", "text": "你好"}, "only ASCII from here; ask the user to install ADBKeyBoard"),
    ({"action": "key", "text": "x; reboot"}, "there is no key 'x; reboot'"),
    ({"action": "open", "text": "Spaceship"}, "there is no app 'Spaceship'; there is com.android.settings, com.google.android.deskclock"),
    ({"action": "left_click", "coordinate": [1, 2]}, "left_click cannot be done here"),
])  # fmt: skip
def test_what_cannot_be_done_is_a_tool_error(android, phone, action, words):
    with pytest.raises(ToolError, match=words):
        android.act(action)
    assert not phone.did


def test_other_scripts_go_through_the_keyboard_for_them(android, phone):
    phone.keyboard = "com.android.adbkeyboard/.AdbIME"
    android.act({"action": "type", "text": "你好"})
    assert phone.did[0][:6] == ["am", "broadcast", "-a", "ADB_INPUT_B64", "--es", "msg"]
    assert base64.b64decode(phone.did[0][6]).decode() == "你好"


@pytest.mark.parametrize(("action", "words", "secret"), [
    ({"action": "click", "coordinate": [500, 125]}, "Delete note", False),
    ({"action": "click", "coordinate": [500, 250]}, "Password", True),
    ({"action": "type", "text": "x"}, "Password", True),
])  # fmt: skip
def test_the_controls_of_the_screen_are_known(android, action, words, secret):
    target = android.target(action)
    assert (target.words, target.secret) == (words, secret)


@pytest.mark.parametrize("dump", ["", "ERROR: could not get idle state.", "<hierarchy><node"])
def test_a_screen_that_cannot_be_read_has_no_known_controls(android, phone, dump):
    phone.dump = dump
    assert android.target({"action": "click", "coordinate": [500, 125]}) is None


def test_the_loop_runs_on_it_and_asks_before_it_deletes(android, phone, queue):
    tap = ("mobile_use", {"action": "click", "coordinate": [500, 125]})
    done = ("mobile_use", {"action": "terminate", "status": "success"})
    record = run(queue(tap, done), android, "Tidy up")
    assert record.steps[0].error == "refused, the user has not agreed to delete something: Delete note" and not phone.did
    run(queue(tap, done), android, "Tidy up", confirm=lambda risk: risk.kind == "delete")
    assert phone.did == [["input", "tap", "540", "300"]]


def test_a_phone_that_is_pulled_out_is_a_tool_error(android, phone):
    phone.serials = ()
    with pytest.raises(ToolError, match="the phone did not answer"):
        android.act({"action": "click", "coordinate": [500, 500]})


@pytest.mark.parametrize(("serials", "asked", "words"), [
    ((), None, "Can't find any"), (("a", "b"), None, "more than one"), (("a",), "b", "'b' not found"),
])  # fmt: skip
def test_a_device_that_is_not_there_is_named(serials, asked, words):
    with pytest.raises(ConnectionError, match=words):
        Android(asked, port=Phone(*serials).port)
