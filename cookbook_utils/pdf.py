"""PDF files: their pages as pictures, rendered side by side, and how many visual tokens to give to each page.

Conventions
    pages       numbered from 1, as a viewer shows them
    size        `(width, height)` of the page as it is shown (its crop box, its rotation): points (1/72 inch) where it is the
                page's own, pixels where it is a picture's
    tokens      Qwen3-VL spends one visual token on 32 x 32 pixels and takes 65,536 pixels or more a picture

PDFium may be used by one thread of a process only, and a malformed file can crash it. So it runs in processes of its own, never
in this one; they render every n-th page each. Needs Pillow; pypdfium2, which carries PDFium, is imported in those processes.
The file can be copied alone.

Sources
    ISO 32000-2 (page boxes, encryption); pypdfium2's notes on threads; transformers, `smart_resize` of the Qwen2-VL processor.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import accumulate
from numbers import Integral, Real
from pathlib import Path
from reprlib import repr as brief

from PIL import Image

__all__ = ["pdf_pages", "pdf_sizes", "plan_pages"]

MAX_PIXELS = 16_777_216  # of one picture, in Qwen3-VL's image processor
MIN_PIXELS = 65_536
_SIDE = 32  # pixels that a visual token is wide and high
_START = "import runpy, sys; sys.path[:] = filter(None, sys.path); runpy.run_path(sys.argv[1])['_work']()"


def pdf_sizes(source, *, password=None):
    """Read the size of every page of a PDF: `[(width, height), ...]` in points, upright.

    source: path, or the file's bytes. Raises: as `pdf_pages`.
    """
    with _file(source) as (path, name):
        sizes = _ask({"path": path, "password": password}, name)
        return [_readable(sizes, number, name) for number in _numbers(None, len(sizes), name)]


def pdf_pages(source, *, pages=None, dpi=144, max_pixels=MAX_PIXELS, sizes=None, password=None, workers=None, progress=None):
    """Turn the pages of a PDF into RGB pictures, in the order asked for, several at a time.

    source: path, or the file's bytes. pages: numbers from 1, by default all. dpi: pixels an inch, less where a page would have
    more than max_pixels; or sizes: `(width, height)` in pixels for each of the pages, as `plan_pages` makes them. password: of
    an encrypted file. workers: processes, by default as many as pages and cores make worth while. progress: called with the
    iterator of finished pages and `total=`, returns an iterator: `tqdm` of tqdm.auto shows a bar.
    Raises FileNotFoundError; ValueError for a file that is no PDF or broken, an encrypted one without the right password, a page
    that is not there or cannot be rendered, a bad option; ImportError without pypdfium2.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (300, 200), "red").save(f"{folder}/a.pdf", resolution=72, save_all=True)
    ...     pdf_pages(f"{folder}/a.pdf", dpi=36)[0].size
    (150, 100)
    """
    _positive(Real, dpi=dpi, max_pixels=max_pixels)
    _positive(Integral, workers=1 if workers is None else workers)
    _check(progress is None or callable(progress), "progress", "None or a function such as tqdm.auto.tqdm", progress)
    with _file(source) as (path, name):
        all_points = _ask({"path": path, "password": password}, name)
        numbers = _numbers(pages, len(all_points), name)
        points = [_readable(all_points, number, name) for number in numbers]
        pixels = [_pixels(size, dpi, max_pixels) for size in points] if sizes is None else _sizes(sizes, len(points))
        jobs = [(number, *size) for number, size in zip(numbers, pixels, strict=True)]
        count = min(workers or min(os.cpu_count() or 1, 8, math.ceil(len(jobs) / 4)), len(jobs))
        finished = _render([{"path": path, "password": password, "jobs": jobs[k::count]} for k in range(count)], len(jobs), name)
        return list(finished if progress is None else progress(finished, total=len(jobs)))


def plan_pages(sizes, budget_tokens, *, dpi=144, min_tokens=256, max_tokens=MAX_PIXELS // _SIDE**2):
    """Plan how many visual tokens each page gets, before a call: all together at most the budget.

    sizes: of the pages in points, from `pdf_sizes`; dpi: the sharpness beyond which no page gets more; min_tokens, max_tokens: of
    one page (200 to 16,384). While the budget is short, large pages shrink to one common cap and small ones keep what they need.
    Returns `[{"page": number, "size": (width, height), "tokens": tokens, "dpi": dpi}, ...]`. Pictures of these sizes in pixels,
    `pdf_pages(source, sizes=[page["size"] for page in plan])`, are not resized by the model again and cost exactly that.
    Raises ValueError if the budget is less than min_tokens a page (it says how many pages would fit) or for a bad argument.

    >>> plan = plan_pages([(595, 842)] * 20, 10_000)
    >>> plan[0], sum(page["tokens"] for page in plan)
    ({'page': 1, 'size': (608, 832), 'tokens': 494, 'dpi': 71}, 9880)
    """
    sizes = _sizes(sizes, None)
    _positive(Real, budget_tokens=budget_tokens, dpi=dpi)
    _positive(Integral, min_tokens=min_tokens, max_tokens=max_tokens)
    low, high = min_tokens, max_tokens
    _check(200 <= low <= high <= 16_384, "min_tokens and max_tokens", "from 200 to 16384 and in this order", (low, high))
    ratios = [max(size) / min(size) for size in sizes]
    _check(max(ratios) <= 200, "sizes", "pages whose sides are in a ratio of at most 200, the model takes no others", max(ratios))
    if sum(_tokens(size, dpi, low) for size in sizes) > budget_tokens:
        fitting = sum(total <= budget_tokens for total in accumulate(_tokens(size, dpi, low) for size in sizes))
        raise ValueError(
            f"budget_tokens must be enough for {len(sizes)} pages of about {min_tokens} tokens; {brief(budget_tokens)} is enough "
            f"for the first {fitting}: ask about fewer pages at a time, or lower min_tokens"
        )
    while low < high:  # the largest cap that the budget allows
        middle = (low + high + 1) // 2
        fits = sum(_tokens(size, dpi, middle) for size in sizes) <= budget_tokens
        low, high = (middle, high) if fits else (low, middle - 1)
    fitted = [_fitted(size, dpi, low) for size in sizes]
    return [
        {"page": number, "size": size, "tokens": size[0] * size[1] // _SIDE**2, "dpi": round(72 * min(size[0] / w, size[1] / h))}
        for number, ((w, h), size) in enumerate(zip(sizes, fitted, strict=True), 1)
    ]


def _fitted(size, dpi, cap):
    """The size in pixels that the model makes of a page of this size in points: sides of 32 n, at most `cap` tokens."""
    width, height = (side * dpi / 72 for side in size)
    sides = [max(1, round(side / _SIDE)) for side in (width, height)]
    if sides[0] * sides[1] > cap:
        shrink = math.sqrt(width * height / (cap * _SIDE**2))
        sides = [max(1, math.floor(side / shrink / _SIDE)) for side in (width, height)]
    elif sides[0] * sides[1] * _SIDE**2 < MIN_PIXELS:
        stretch = math.sqrt(MIN_PIXELS / (width * height))
        sides = [math.ceil(side * stretch / _SIDE) for side in (width, height)]
    return sides[0] * _SIDE, sides[1] * _SIDE


def _tokens(size, dpi, cap):
    return math.prod(_fitted(size, dpi, cap)) // _SIDE**2


# --- the processes that render --------------------------------------------------------------------------------------


@contextmanager
def _file(source):
    """(path, name) of the file to read; bytes are laid down in a file for as long as it is needed."""
    if isinstance(source, (str, Path)):
        if not Path(source).is_file():
            raise FileNotFoundError(f"no such PDF file: {str(source)!r}")
        yield str(Path(source).resolve()), repr(str(source))
        return
    if not isinstance(source, (bytes, bytearray)):
        raise TypeError(f"source must be a path or the bytes of a PDF, got {type(source).__name__}")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.pdf").write_bytes(source)
        yield str(Path(folder, "a.pdf")), f"the PDF of {len(source)} bytes"


def _ask(job, name):
    """The sizes of all pages in points, None for a page that cannot be read."""
    with _worker(job) as process:
        return [size and tuple(size) for size in _answer(process, name)["sizes"]]


def _readable(sizes, number, name):
    if sizes[number - 1] is None:
        raise ValueError(f"{name} has a page {number} that cannot be read")
    return sizes[number - 1]


def _render(shares, count, name):
    """The pages as pictures, in order; page k comes from process k modulo their number, all are at work meanwhile."""
    with ExitStack() as stack:
        processes = [stack.enter_context(_worker(share)) for share in shares]
        for place in range(count):
            process = processes[place % len(processes)]
            size = _answer(process, name)["size"]
            yield Image.frombytes("RGB", size, process.stdout.read(math.prod(size) * 3))


@contextmanager
def _worker(job):
    """A process at work on a job; it is killed at the end, whether it has finished or not."""
    command = [sys.executable, "-c", _START, os.path.abspath(__file__)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        process.errors = errors
        try:
            with suppress(BrokenPipeError):
                process.stdin.write(json.dumps(job).encode() + b"\n")
                process.stdin.flush()
            yield process
        finally:
            process.kill()
            process.communicate()


def _answer(process, name):
    """The next line of a worker; what it reports as an error, and its death, are raised here."""
    line = process.stdout.readline()
    answer = json.loads(line) if line.endswith(b"\n") else {"error": "", "kind": "crash"}
    if "error" not in answer:
        return answer
    if answer["kind"] == "import":
        raise ImportError("reading PDF files needs pypdfium2: pip install pypdfium2")
    if answer["kind"] == "crash":
        process.wait()
        process.errors.seek(0)
        last = process.errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise ValueError(f"{name} made PDFium crash (code {process.returncode}, {last[0]}); the file is broken")
    raise ValueError(f"{name} {answer['error']}")


def _work():
    """What a worker does: reads a job from its standard input, writes a line of JSON and pixels for each page."""
    job, out = json.loads(sys.stdin.readline()), sys.stdout.buffer

    def tell(**answer):
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()

    try:
        import pypdfium2 as pdfium
    except ImportError as error:
        return tell(error=str(error), kind="import")
    try:
        document = pdfium.PdfDocument(job["path"], password=job["password"])
    except pdfium.PdfiumError as error:
        return tell(error=_why(str(error), job["password"]), kind="open")
    document.init_forms()  # or else what is filled in into a form is not drawn
    if "jobs" not in job:
        return tell(sizes=[_size_of(document, index, pdfium.PdfiumError) for index in range(len(document))])
    for number, width, height in job["jobs"]:
        try:
            pixels = _draw(document[number - 1], width, height)
        except (pdfium.PdfiumError, MemoryError) as error:
            return tell(error=f"has a page {number} that cannot be rendered ({error})", kind="page")
        tell(size=[width, height])
        out.write(pixels)
    out.flush()


def _size_of(document, index, error):
    try:
        size = document.get_page_size(index)
    except error:
        return None
    return size if min(size) > 0 else None


def _why(message, password):
    if "password" in message.lower():
        return "is encrypted, and the password does not open it" if password else "is encrypted: pass password="
    return f"cannot be read as a PDF, it is broken, cut off or something else ({message})"


def _draw(page, width, height):
    """RGB bytes of a page at exactly this size in pixels."""
    points = page.get_size()
    picture = page.render(scale=max(width / points[0], height / points[1]), rev_byteorder=True).to_pil().convert("RGB")
    page.close()
    return (picture if picture.size == (width, height) else picture.resize((width, height), Image.Resampling.LANCZOS)).tobytes()


# --- arguments ------------------------------------------------------------------------------------------------------


def _numbers(pages, count, name):
    _check(count, "source", "a PDF with pages", name)
    if pages is None:
        return range(1, count + 1)
    numbers = list(pages) if isinstance(pages, Iterable) else [pages]
    good = numbers and all(isinstance(number, Integral) and 1 <= number <= count for number in numbers)
    _check(good, "pages", f"numbers from 1 to {count}, the pages of {name}", pages)
    return [int(number) for number in numbers]


def _pixels(points, dpi, max_pixels):
    scale = min(dpi / 72, math.sqrt(max_pixels / math.prod(points)))
    return [max(1, math.floor(side * scale + 1e-6)) for side in points]


def _sizes(sizes, count):
    """Checked sizes: `count` of them in whole pixels, or any number in points."""
    kind = Real if count is None else Integral
    sizes = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    pairs = all(isinstance(size, Sequence) and len(size) == 2 for size in sizes)
    good = pairs and all(isinstance(side, kind) and 0 < side < math.inf for size in sizes for side in size)
    what = "of one page or more, in points" if count is None else f"in whole pixels, of each of the {count} pages"
    _check(good and sizes and count in (None, len(sizes)), "sizes", f"(width, height) {what}", sizes)
    return sizes


def _positive(kind, **numbers):
    for name, value in numbers.items():
        _check(isinstance(value, kind) and 0 < value < math.inf, name, f"a positive {'whole ' * (kind is Integral)}number", value)


def _check(good, name, expected, value):
    if not good:
        raise ValueError(f"{name} must be {expected}; got {brief(value)}")
