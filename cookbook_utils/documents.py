"""Reads a parsed page: a reply to `qwenvl html` or `qwenvl markdown` in, its elements in reading order out.

Conventions
    element     a dict: `category`, `label` (the same, for drawing), `text`, `bbox_2d` `[x1, y1, x2, y2]` if the reply has one, and
                `html` or `markdown`, the element's own source
    bbox_2d     on the model's grid of 0-1000, or pixels when `size` is given; as the reply has it, neither clipped nor sorted
    category    image, chart, table, formula, code, music sheet, chemical formula, heading, text, list, list item, caption, header,
                footer, page number, footnote, or a class that the reply made up

A reply is untrusted and may be broken: cut off in the middle, without quotes, fenced, with a bare `<` in a formula. The readers never
raise on text; `Elements` says what was lost, whether the reply was cut off (its last element may then not be whole), and which
elements have no box. Every piece of HTML that comes out is sanitised: no script, handler, style, picture or link to load.

HTML is read by html5ever, through nh3, which is imported when it is needed; else Pillow only. The file can be copied alone.
Sources: Qwen2.5-VL technical report (QwenVL HTML); Qwen3-VL document parsing cookbook (Markdown, grid); WHATWG HTML; OWASP on XSS.
"""

import html as entities
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from numbers import Real
from reprlib import repr as brief

from PIL import Image, ImageOps

__all__ = ["Elements", "clean_html", "crop_elements", "parse_qwenvl_html", "parse_qwenvl_markdown"]


class Elements(list):
    """What was read from a parsed page: dicts in reading order.

    `dropped`: a reason per thing that was lost; `truncated`: the reply was cut off; `boxed`, `unboxed`: the elements with and
    without a box.
    """

    def __init__(self, items=(), dropped=(), truncated=False):
        super().__init__(items)
        self.dropped, self.truncated = list(dropped), truncated

    @property
    def boxed(self):
        return [element for element in self if "bbox_2d" in element]

    @property
    def unboxed(self):
        return [element for element in self if "bbox_2d" not in element]


def parse_qwenvl_html(text, size=None, *, grid=1000):
    """Read a reply to `qwenvl html`.

    size: `(width, height)` in pixels of the page as it is shown; grid: the model's full scale (1000, or 999).
    Returns Elements. One is a tag with content of its own: paragraph, heading, table, figure; of a group with boxes inside (a list, a
    column) its parts. Raises TypeError if text is no str, ValueError for a bad size or grid; ImportError without nh3.

    >>> page = parse_qwenvl_html('<h1 data-bbox="100 50 900 120">Menu</h1><p>Tea &amp; cake</p><p data-bbox="1 2')
    >>> [(element["category"], element["text"], element.get("bbox_2d")) for element in page]
    [('heading', 'Menu', [100, 50, 900, 120]), ('text', 'Tea & cake', None)]
    >>> page.truncated, page.dropped, len(page.unboxed)
    (True, ['cut off inside a tag: \\'<p data-bbox="1 2\\''], 1)
    """
    scale = _scale(size, grid)
    source, truncated, lost = _answer(text, "html")
    source, cut = _mended(source)
    page = Elements((), lost + cut, truncated or bool(cut) or _is_open(source))
    _collect(_tree(_sanitised(source, layout=True)), scale, page)
    return page


def parse_qwenvl_markdown(text, size=None, *, grid=1000):
    """Read a reply to `qwenvl markdown`: blocks of text, and boxes from `<!-- Image (x1, y1, x2, y2) -->` comments.

    The box of a comment goes to the block behind it when that is of its kind (a table, in LaTeX, HTML or pipes); a figure is an
    element of its own, without text. Arguments and Raises: as `parse_qwenvl_html`, but nh3 is not needed.

    >>> reply = "# Prices\\n\\n<!-- Table (80, 200, 900, 400) -->\\n| tea | 2 |\\n\\n<!-- Image (80, 500, 900, 900) -->"
    >>> [(element["category"], element["text"], element.get("bbox_2d")) for element in parse_qwenvl_markdown(reply)]
    [('heading', 'Prices', None), ('table', '| tea | 2 |', [80, 200, 900, 400]), ('image', '', [80, 500, 900, 900])]
    """
    scale = _scale(size, grid)
    source, truncated, lost = _answer(text, "markdown")
    page, waiting = Elements((), lost, truncated), None
    for comment, block in _blocks(source):
        if comment:
            waiting = _commented(comment, block, scale, page)
            continue
        category = _kind_of_block(block)
        if waiting and category == waiting["category"]:
            element, waiting = waiting, None
        else:
            element, waiting = {"category": category, "label": category}, None
            page.append(element)
        element |= {"text": re.sub(r"^#+\s*", "", block) if category == "heading" else block, "markdown": block}
        page.truncated |= _is_unfinished(_tally(block))
    return page


def clean_html(text, *, keep_layout=False):
    """Make the HTML of a reply safe to show: a fragment without scripts, handlers, styles, pictures, links, forms' targets, comments.

    keep_layout: keep `class` and `data-bbox`. Tables keep their spans. What is cut off is closed.
    Raises TypeError if text is no str; ImportError without nh3.

    >>> clean_html('<html><body><p class="a" data-bbox="1 2 3 4" onclick="steal()">Tea<script>steal()</script><img src="http://x/y">')
    '<p>Tea<img></p>'
    """
    return _sanitised(_mended(_answer(text, "html")[0])[0], layout=keep_layout).strip()


def crop_elements(image, elements, category=None, *, grid=None, margin=0):
    """Cut elements out of their page: a list of RGB pictures, in reading order.

    image: PIL, made upright; category: one, or several, by default every element with a box; grid: 1000 if the boxes were read
    without a size, None if they are pixels; margin: pixels more on each side. Boxes are clipped to the page and rounded outwards;
    those without area, or outside, are left out. Raises TypeError if image is no PIL picture, ValueError for a bad option.

    >>> page = Image.new("RGB", (200, 100), "white")
    >>> [cut.size for cut in crop_elements(page, [{"category": "chart", "bbox_2d": [10.5, 20, 60, 150]}, {"category": "text"}])]
    [(50, 80)]
    """
    if not isinstance(image, Image.Image):
        raise TypeError(f"image must be a PIL picture, got {type(image).__name__}")
    if not (isinstance(margin, Real) and 0 <= margin < math.inf):
        raise ValueError(f"margin must be 0 or more pixels, got {margin!r}")
    upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = (1, 1) if grid is None else _scale(upright.size, grid)
    wanted = None if category is None else {category} if isinstance(category, str) else set(category)
    chosen = [e for e in elements if "bbox_2d" in e and (wanted is None or e.get("category") in wanted)]
    rectangles = (_rectangle(element["bbox_2d"], scale, margin, upright.size) for element in chosen)
    return [upright.crop(rectangle) for rectangle in rectangles if rectangle[0] < rectangle[2] and rectangle[1] < rectangle[3]]


_VOID = frozenset(("area", "br", "col", "hr", "img", "wbr"))
_INLINE = frozenset((
    "a", "abbr", "acronym", "b", "bdi", "bdo", "br", "cite", "code", "data", "del", "dfn", "em", "i", "ins", "kbd", "label", "mark", "q",
    "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"))  # fmt: skip
_GROUPS = frozenset(("article", "aside", "blockquote", "center", "details", "div", "dl", "fieldset", "figure", "form", "hgroup", "main",
                     "nav", "ol", "section", "ul"))  # fmt: skip
_MORE_TAGS = frozenset(("address", "button", "fieldset", "form", "label", "legend", "main", "section", "tfoot"))
_UNSEEN = frozenset(("head", "iframe", "noscript", "object", "script", "select", "style", "svg", "template", "textarea", "title"))
_UNCLOSED = _VOID | {"body", "colgroup", "dd", "dt", "li", "option", "p", "rp", "rt", "tbody", "td", "tfoot", "th", "thead", "tr"}
_OF_TAG = {"table": "table", "img": "image", "figure": "image", "figcaption": "caption", "caption": "caption", "pre": "code", "li": "list item",
           "ul": "list", "ol": "list", "dl": "list", "header": "header", "footer": "footer", **{f"h{level}": "heading" for level in range(1, 7)}}  # fmt: skip
_KINDS = ("image", "chart", "table", "formula", "music sheet", "chemical formula", "code", "caption", "header", "footer",
          "page number", "footnote", "list item", "heading", "text")  # fmt: skip
_OF_CLASS = {kind: kind for kind in _KINDS} | {
    "picture": "image", "figure": "image", "equation": "formula", "page header": "header", "page footer": "footer",
    "title": "heading", "paragraph": "text"}  # fmt: skip
_NUMBER = r"-?\d+(?:\.\d+)?"
_FOUR = rf"{_NUMBER}(?:[\s,]+{_NUMBER}){{3}}"
_BBOX = re.compile(rf"""data-bbox\s*=\s*["'“”]?[\s\[(]*({_FOUR})(?![\s,]*-?\d)[\s\])]*["'“”]?(?=[\s/>])""")
_OPEN_CLASS = re.compile(r"""(class\s*=\s*["'])([^"'<>=]*?)\s*(?=data-bbox=)""")
_TAG = re.compile(r"</?([a-zA-Z][\w:-]*)(?=\s*/?>|\s+[\w:-]+\s*=)|</?([a-zA-Z]\w+)\b|<!--")
_CUT_TAG = re.compile(r"<(?:/?(?:[a-zA-Z][\w:-]*(?:\s[^<>]*)?)?|!(?:-(?:-[^<>]*)?)?)\Z")
_ANY_TAG = re.compile(r"<(/?)([a-zA-Z]\w*)[^<>]*>")
_COMMENT = re.compile(r"<!--\s*([A-Za-z][A-Za-z _-]*?)\s*\(([^()<>]*)\)\s*-->|(<!--[^<>]*\Z)")
_PAIRED = (r"(?m)^[ \t]*(?:```|~~~)", r"\$\$", r"\\begin\{", r"\\end\{", r"<table\b", r"</table\s*>")
_LINE = re.compile(r"\s*(?:(#{1,6}\s)|(\|)|(\S)|$)")  # 1 heading, 2 row of a table, 3 other text, None empty
_MARKS = {"html": "html", "markdown": "markdown|md"}
_DEEPEST = 100  # levels of tags; pages have about ten


# --- the reply ------------------------------------------------------------------------------------------------------


def _answer(text, language):
    """(the source, whether it was cut off before its fence or `</html>` closed, what was left out): no thoughts, no talk around."""
    if not isinstance(text, str):
        raise TypeError(f"text must be a str, the text of a reply (as in Reply.text); got {type(text).__name__}")
    answer = text.rpartition("</think>")[2]
    if answer.lstrip().startswith("<think>"):
        return "", True, ["cut off while thinking"]
    first, start, end, after, cut = _bounds(answer, language)
    around = f"{answer[:first].strip()} {answer[after:].strip()}".strip()
    return answer[start:end], cut, [f"text around the {language}: {around[:80]!r}"] if around else []


def _bounds(answer, language):
    """Where the source is: in its fence (which may hold fenced code), from `<html>` to `</html>`, or all; and whether it is cut."""
    fence = re.search(rf"(?im)^[ \t]*(`{{3,}}|~{{3,}})[ \t]*(?:{_MARKS[language]})[ \t\r]*$", answer)
    if fence := fence or re.match(r"\s*(`{3,}|~{3,})[ \t\r]*\n", answer):
        inside, start = False, fence.end()
        for line in re.finditer(rf"(?m)^[ \t]*{fence[1]}[ \t]*(\w*)[ \t\r]*$", answer[start:]):
            if not inside and not line[1]:
                return fence.start(), start, start + line.start(), start + line.end(), False
            inside = bool(line[1])
        return fence.start(), start, len(answer), len(answer), True
    whole = re.search(r"(?is)<html\b.*?(?:</html>\s*(?:</body>)?|(\Z))", answer) if language == "html" else None
    start, end = whole.span() if whole else (0, len(answer))
    return start, start, end, end, bool(whole) and whole[1] is not None


def _mended(source):
    """The HTML with its usual slips mended, and what of it was cut off."""
    if '=\\"' in source:  # it was copied out of JSON
        source = source.replace('\\"', '"')
    cut = _CUT_TAG.search(source)
    source, lost = (source[: cut.start()], [f"cut off inside a tag: {cut[0][:80]!r}"]) if cut else (source, [])
    source = _OPEN_CLASS.sub(r'\1\2" ', _BBOX.sub(lambda match: f'data-bbox="{" ".join(re.findall(_NUMBER, match[1]))}"', source))
    known = _tags() | _UNSEEN | {"html", "body"}
    pieces = re.split("(?=<)", source)  # in `a<b and c` or `$x<y$` no tag opens, whatever HTML says
    source = "".join(p if not p.startswith("<") or _is_tag(_TAG.match(p), known) else f"&lt;{p[1:]}" for p in pieces)
    depth = 0
    for match in _ANY_TAG.finditer(source):
        depth += 0 if match[2].lower() in _UNCLOSED or match[0][-2] == "/" else -1 if match[1] else 1
        if depth > _DEEPEST:
            return source[: match.start()], [*lost, f"nested deeper than {_DEEPEST} levels: {source[match.start() :][:80]!r}"]
    return source, lost


def _is_tag(match, known):
    return match is not None and (match[2] is None or match[2].lower() in known)


def _is_open(source):
    """Whether a tag that needs an end tag has none."""
    opened = []
    for match in _ANY_TAG.finditer(source):
        name = match[2].lower()
        if match[1] and name in opened:
            while opened.pop() != name:
                pass
        elif not match[1] and name not in _UNCLOSED and match[0][-2] != "/":
            opened.append(name)
    return bool(opened)


# --- HTML -----------------------------------------------------------------------------------------------------------


def _nh3():
    try:
        import nh3
    except ImportError as error:
        raise ImportError("reading and cleaning HTML needs nh3: pip install nh3") from error
    return nh3


def _tags():
    return _nh3().ALLOWED_TAGS | _MORE_TAGS


def _sanitised(source, *, layout):
    everywhere = {"class", "data-bbox", "format"} if layout else set()
    attributes = {"td": {"rowspan", "colspan"}, "th": {"rowspan", "colspan"}, "img": {"alt"}, "ol": {"start"}}
    attributes = {tag: attributes.get(tag, set()) | everywhere for tag in _tags()}
    return _nh3().clean(source, tags=_tags() - _UNSEEN, clean_content_tags=set(_UNSEEN), attributes=attributes, link_rel=None)


@dataclass
class _Node:
    tag: str
    attributes: dict = field(default_factory=dict)
    children: list = field(default_factory=list)  # nodes and texts

    def walk(self):
        yield self
        for child in self.children:
            if isinstance(child, _Node):
                yield from child.walk()


class _Tree(HTMLParser):
    """Builds nodes out of what nh3 wrote, which is well-formed."""

    def __init__(self):
        super().__init__()
        self.path = [_Node("")]

    def handle_starttag(self, tag, attrs):
        node = _Node(tag, dict(attrs))
        self.path[-1].children.append(node)
        self.path += [node] if tag not in _VOID else []

    def handle_endtag(self, tag):
        if len(self.path) > 1 and self.path[-1].tag == tag:
            self.path.pop()

    def handle_data(self, data):
        self.path[-1].children.append(data)


def _tree(source):
    reader = _Tree()
    reader.feed(source)
    reader.close()
    return reader.path[0]


def _collect(node, scale, page):
    """Add the elements below a node; loose text and inline tags between them make an element of their own."""
    loose = _Node("p")
    for child in [*node.children, None]:
        if isinstance(child, str) or child is not None and child.tag in _INLINE and "data-bbox" not in child.attributes:
            loose.children.append(child)
            continue
        if _text(loose):
            page.append(_element(loose, scale, page))
        loose = _Node("p")
        if child is not None and _is_group(child):
            _collect(child, scale, page)
        elif child is not None and ("data-bbox" in child.attributes or _text(child) or any(n.tag == "img" for n in child.walk())):
            page.append(_element(child, scale, page))


def _is_group(node):
    """Whether the parts of a node are the elements, not the node: it has boxes inside, or no box and blocks inside."""
    if node.tag not in _GROUPS or _class(node) in _OF_CLASS.values():
        return False
    inside = [n for child in node.children if isinstance(child, _Node) for n in child.walk()]
    boxed = [n for n in inside if "data-bbox" in n.attributes]
    if "data-bbox" in node.attributes:
        return bool(boxed) and not (len(boxed) == 1 and boxed[0].tag == "img")
    return bool(boxed) or node.tag not in ("figure", "ul", "ol", "dl") and any(n.tag not in _INLINE | {"img"} for n in inside)


def _element(node, scale, page):
    text = _text(node)
    picture = not text and any(n.tag == "img" for n in node.walk())
    category = _class(node) or _OF_TAG.get(node.tag) or ("image" if picture else "text")
    element = {"category": category, "label": category, "text": text, "html": _source(node)}
    boxes = [n.attributes["data-bbox"] for n in node.walk() if "data-bbox" in n.attributes and (n is node or n.tag == "img")]
    any(_set_box(element, numbers or "", scale, page) for numbers in boxes)  # the first that is one
    return element


def _set_box(element, numbers, scale, page):
    """Give an element its box, or say why it has none: a number that is missing is not guessed."""
    if not re.fullmatch(rf"\s*{_FOUR}\s*", numbers):
        page.dropped.append(f"the box of a {element['category']} must be four numbers, got {numbers[:60]!r}")
        return False
    values = [float(number) if "." in number else int(number) for number in re.findall(_NUMBER, numbers)]
    element["bbox_2d"] = values if scale == (1, 1) else [value * scale[i % 2] for i, value in enumerate(values)]
    return True


def _class(node):
    """The category that a class names: a known one, or for a `div` the class as it stands; None without."""
    words = re.sub(r"[\s_-]+", " ", (node.attributes.get("class") or "").split(".")[0]).strip().lower()
    known = next((kind for kind in sorted(_OF_CLASS, key=len, reverse=True) if words.startswith(kind)), None)
    return _OF_CLASS[known] if known else words if words and node.tag == "div" else None


def _text(node):
    """What a reader sees: blocks and rows on lines of their own, cells apart by tabs."""
    raw = "".join(_pieces(node))
    if node.tag == "pre":
        return raw.strip("\n")
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"[ \f\v\xa0]+", " ", raw)).strip()


def _pieces(node):
    if node.tag == "img":
        yield node.attributes.get("alt") or ""
    apart = "\t" if node.tag in ("td", "th") else "" if node.tag in _INLINE or node.tag == "img" else "\n"
    yield "\n" if node.tag == "br" or apart == "\n" else ""
    for child in node.children:
        yield from [child if node.tag == "pre" else re.sub(r"\s+", " ", child)] if isinstance(child, str) else _pieces(child)
    yield apart


def _source(node):
    if isinstance(node, str):
        return entities.escape(node, quote=False)
    attributes = "".join(f' {name}="{entities.escape(value or "")}"' for name, value in node.attributes.items())
    inner = "".join(map(_source, node.children))
    return f"<{node.tag}{attributes}>" + ("" if node.tag in _VOID else f"{inner}</{node.tag}>")


# --- Markdown -------------------------------------------------------------------------------------------------------


def _blocks(source):
    """(comment, its text) and (None, block) in turn: what stands between two comments falls into blocks."""
    place = 0
    for match in _COMMENT.finditer(source):
        yield from ((None, block) for block in _split(source[place : match.start()]))
        yield match, match[0]
        place = match.end()
    yield from ((None, block) for block in _split(source[place:]))


def _split(source):
    """Blocks end at an empty line, at a heading, where a table of pipes begins or ends, and where an environment closes; nothing
    ends inside a fence or an environment."""
    lines, tally, kind = [], (0, 0, 0, 0), None
    for line in source.split("\n"):
        before, kind, was_open = kind, _LINE.match(line).lastindex, _is_unfinished(tally)
        if lines and not was_open and (kind != before or kind == 1 or before == 4):
            yield "\n".join(lines).strip()
            lines, tally = [], (0, 0, 0, 0)
        lines += [line] if line.strip() or lines else []
        tally = tuple(map(sum, zip(tally, _tally(line), strict=True)))
        kind = 4 if was_open and not _is_unfinished(tally) else kind  # an environment closed
    if "".join(lines).strip():
        yield "\n".join(lines).strip()


def _tally(text):
    """Fences and `$$`, which come in twos; environments and HTML tables that are opened and not closed."""
    found = [len(re.findall(pattern, text)) for pattern in _PAIRED]
    return found[0], found[1], found[2] - found[3], found[4] - found[5]


def _is_unfinished(tally):
    return bool(tally[0] % 2 or tally[1] % 2) or max(tally[2:]) > 0


def _commented(comment, raw, scale, page):
    """The element that a comment with a box starts, or None and a reason."""
    if comment[3]:
        page.truncated = True
        page.dropped.append(f"cut off inside a comment: {raw[:80]!r}")
        return None
    words = re.sub(r"[\s_-]+", " ", comment[1]).strip().lower()
    element = {"category": _OF_CLASS.get(words, words), "label": _OF_CLASS.get(words, words), "text": "", "markdown": raw}
    _set_box(element, comment[2], scale, page)
    page.append(element)
    return element


def _kind_of_block(block):
    first = block.lstrip()
    kinds = [
        (r"#{1,6}\s", "heading"), (r"```|~~~", "code"), (r"\$\$|\\\[|\\begin\{(?:equation|align|gather|math)", "formula"),
        (r"\||<table\b|\\begin\{(?:table|tabular|longtable|array)", "table"), (r"!\[", "image"), (r"(?:[-*+]|\d+[.)])\s", "list"),
    ]  # fmt: skip
    return next((kind for pattern, kind in kinds if re.match(pattern, first)), "text")


def _scale(size, grid):
    """Pixels in one step of the grid, `(1, 1)` without a size."""
    if not (isinstance(grid, Real) and 0 < grid < math.inf):
        raise ValueError(f"grid must be a positive number such as 1000 or 999, got {grid!r}")
    if size is None:
        return 1, 1
    pair = list(size) if isinstance(size, Iterable) else []
    if len(pair) != 2 or not all(isinstance(side, Real) and 0 < side < math.inf for side in pair):
        raise ValueError(f"size must be (width, height), two positive numbers of pixels, got {brief(size)}")
    return pair[0] / grid, pair[1] / grid


def _rectangle(box, scale, margin, size):
    ends = [sorted((box[axis] * scale[axis], box[axis + 2] * scale[axis])) for axis in (0, 1)]
    low = [max(0, math.floor(ends[axis][0] - margin)) for axis in (0, 1)]
    high = [min(size[axis], math.ceil(ends[axis][1] + margin)) for axis in (0, 1)]
    return *low, *high
