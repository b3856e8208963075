"""Real touch events on a real page: tap, long press, swipe, typing, system buttons, apps."""

import pytest

from cookbook_utils.agents.schemas import ToolError
from cookbook_utils.agents.touch import TouchScreen

SIZE = (360, 640)
PAGE = """<!DOCTYPE html><meta name=viewport content="width=device-width,initial-scale=1"><title>t</title><style>body{margin:0;height:3000px}
*{touch-action:pan-y} button,input{position:absolute;left:80px;width:200px;height:60px;font-size:20px}</style>
<button id=b style="top:80px">Go</button><input id=i style="top:200px">
<script>log=[];for(const type of ['touchstart','touchmove','touchend','touchcancel','click','contextmenu'])
document.addEventListener(type,e=>{if(log.at(-1)!==type)log.push(type);if(type==='contextmenu')e.preventDefault()});</script>"""


@pytest.fixture
def screen(chromium, site):
    """Opens a page of the site on a touch screen: `screen(html)`."""
    opened = []

    def start(html=PAGE, **options):
        site.pages["/"] = html
        opened.append(TouchScreen(site.url(), chromium=chromium, size=SIZE, **{"settle_s": 0, "scale": 1, **options}))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def at(x, y):
    return [1000 * x / SIZE[0], 1000 * y / SIZE[1]]


BUTTON, FIELD = at(180, 110), at(180, 230)


@pytest.mark.parametrize(("action", "heard"), [
    ({"action": "click", "coordinate": BUTTON}, ["touchstart", "touchend", "click"]),
    ({"action": "long_press", "coordinate": BUTTON}, ["touchstart", "contextmenu", "touchcancel"]),
    ({"action": "swipe", "coordinate": at(180, 500), "coordinate2": at(300, 500)}, ["touchstart", "touchmove", "touchend"]),
])  # fmt: skip
def test_the_page_hears_fingers(screen, action, heard):
    page = screen()
    assert page.act(action) == "" and page.evaluate("log") == heard
    assert page.evaluate("[navigator.maxTouchPoints > 0, matchMedia('(pointer: coarse)').matches]") == [True, True]


def test_the_tap_after_a_long_press_is_a_tap(screen):
    page = screen()
    page.act({"action": "long_press", "coordinate": BUTTON})
    page.evaluate("log.length = 0")
    page.act({"action": "click", "coordinate": BUTTON})
    assert page.evaluate("log") == ["touchstart", "touchend", "click"]


@pytest.mark.parametrize("scale", [0.8, 1, 2.625])
def test_a_swipe_scrolls_as_far_as_the_finger_goes(screen, scale):
    page = screen(scale=scale)
    assert page.screenshot().size == page.size == (round(360 * scale), round(640 * scale))
    page.act({"action": "swipe", "coordinate": [500, 800], "coordinate2": [500, 300]})
    assert 270 <= page.evaluate("scrollY") <= 320, "320 pixels less what it takes to call it a swipe"
    page.act({"action": "swipe", "coordinate": [500, 300], "coordinate2": [500, 900]})
    assert page.evaluate("scrollY") == 0


def test_a_swipe_to_the_side_does_not_leave_the_first_page(screen, site):
    page = screen()
    for start, end in ((5, 900), (995, 100)):
        page.act({"action": "swipe", "coordinate": [start, 700], "coordinate2": [end, 700]})
        page.act({"action": "wait", "time": 0.2})
    assert page.url == site.url()


def test_typing_needs_a_field(screen):
    page = screen()
    with pytest.raises(ToolError, match="no text field is active; tap one first"):
        page.act({"action": "type", "text": "x"})
    page.act({"action": "click", "coordinate": FIELD})
    page.act({"action": "type", "text": "早上好 Ben"})
    assert page.evaluate("i.value") == "早上好 Ben"
    page.act({"action": "key", "text": "KEYCODE_DEL"})
    assert page.evaluate("i.value") == "早上好 Be"
    page.act({"action": "key", "text": "clear"})
    assert page.evaluate("i.value") == ""
    assert page.act({"action": "key", "text": "volume_up"}) == ""
    with pytest.raises(ToolError, match="there is no key 'any'; there is back, home"):
        page.act({"action": "key", "text": "any"})


def test_on_a_plain_page_back_and_home_are_the_browsers(screen, site):
    site.pages["/next"] = "<title>next</title><a href=/last style='position:absolute;width:360px;height:640px'>x</a>"
    site.pages["/last"] = "<title>last</title>"
    page = screen("<title>first</title><a href=/next style='position:absolute;width:360px;height:640px'>x</a>", settle_s=0.3)
    title = lambda: page.evaluate("document.title")
    for _ in range(2):
        page.act({"action": "click", "coordinate": [500, 500]})
    assert title() == "last"
    page.act({"action": "system_button", "button": "Back"})
    assert title() == "next"
    page.act({"action": "system_button", "button": "Home"})
    assert title() == "first"
    with pytest.raises(ToolError, match="there is no app 'Clock' here"):
        page.act({"action": "open", "text": "Clock"})


def test_a_page_that_plays_a_phone_takes_the_buttons(screen):
    page = screen("<script>heard=[];for(const name of ['systembutton','openapp'])"
                  "document.addEventListener(name,e=>{e.preventDefault();heard.push(e.detail)})</script>")  # fmt: skip
    for button in ("Back", "Home", "Menu"):
        page.act({"action": "system_button", "button": button})
    page.act({"action": "key", "text": "home"})
    page.act({"action": "open", "text": "Clock"})
    assert page.evaluate("heard") == ["Back", "Home", "Menu", "Home", "Clock"]


def test_enter_is_a_key(screen):
    page = screen()
    page.act({"action": "click", "coordinate": FIELD})
    page.evaluate("void i.addEventListener('keydown', e => document.title = e.key)")
    page.act({"action": "system_button", "button": "Enter"})
    assert page.evaluate("document.title") == "Enter"
