"""What an agent must not do unasked: type secrets, buy, delete, leave the hosts that it was given.

`risk_of` looks at an action and at what it would meet, never at what a page says about itself or asks for: text on a page
is content. Words are matched whole, in English and Chinese, on the control itself. It is a net, not a proof: a button that
says "Go on" and buys is not seen, which is why a host allow-list and a person stand behind it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from .environment import Target

__all__ = ["Risk", "host_allowed", "risk_of"]

_WORDS = {
    "buy": re.compile(
        r"\b(buy|purchase|pay|checkout|check out|place (?:the |your )?order|order now|subscribe|donate|book now|transfer)\b"
        r"|购买|支付|付款|下单|结算|转账|订阅|打赏",
        re.IGNORECASE,
    ),
    "delete": re.compile(
        r"\b(delete|remove|erase|discard|empty (?:the )?(?:trash|bin)|uninstall|reset|clear (?:all|history|data)|close account)\b"
        r"|删除|移除|清空|卸载|重置|注销",
        re.IGNORECASE,
    ),
}
_LONGEST_LABEL = 80  # a control's words; a whole page that lies under a tap is no label
_POINTING = ("left_click", "double_click", "triple_click", "middle_click", "click", "long_press")
_WHAT = {
    "secret": "type into a field for secrets",
    "buy": "buy or pay",
    "delete": "delete something",
    "leave": "leave the allowed hosts",
}


@dataclass(frozen=True)
class Risk:
    """Why a person should be asked: `kind` is secret, buy, delete or leave; `where` names the control or the host.

    >>> print(Risk("leave", "evil.example"))
    leave the allowed hosts: evil.example
    """

    kind: str
    where: str

    def __str__(self) -> str:
        return f"{_WHAT[self.kind]}: {self.where}"


def host_allowed(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host (`name` or `name:port`) is on an allow-list.

    An entry is a host name, which allows each of its ports; `name:port`, which allows that one; `*.name`, which allows the
    names below it; or `*`, which allows all.

    >>> host_allowed("docs.example.com:443", ["example.com"]), host_allowed("docs.example.com:443", ["*.example.com"])
    (False, True)
    """
    host = host.lower().rstrip(".")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return any(
        entry == "*" or entry in (host, name) or (entry.startswith("*.") and name.endswith(entry[1:]))
        for entry in map(str.lower, hosts)
    )


def risk_of(action: dict, target: Target | None, hosts: Iterable[str] = ()) -> Risk | None:
    """The risk of a clean action, or None.

    target: what it would meet, as `Environment.target` tells; hosts: the allow-list.

    >>> risk_of({"action": "left_click", "coordinate": [1, 2]}, Target("Place order")).kind
    'buy'
    """
    if target is None:
        return None
    kind, words = action.get("action"), target.words.strip()
    if kind == "type" and target.secret:
        return Risk("secret", words or "a password field")
    presses = kind in _POINTING or kind in ("key", "system_button")
    if not presses:
        return None
    host = urlsplit(target.url).netloc.rpartition("@")[2]
    if host and not host_allowed(host, hosts):
        return Risk("leave", host)
    if len(words) > _LONGEST_LABEL:
        return None
    return next((Risk(name, words) for name, pattern in _WORDS.items() if pattern.search(words)), None)
