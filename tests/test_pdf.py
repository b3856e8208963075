"""PDFs written by Pillow and PDFium itself; the plan against the image processor of transformers; every kind of bad file."""

import base64
import io
import itertools
import math
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cookbook_utils import pdf
from cookbook_utils.pdf import pdf_pages, pdf_sizes, plan_pages

pdfium = pytest.importorskip("pypdfium2", reason="PDF files need pypdfium2")

A4 = (595, 842)
# A page of 72 x 36 points, as pypdf encrypts it with the password "geheim": RC4 with 128 bits, and AES with 256.
RC4 = (
    "c-oCo%Wf1g5WM><`m#r2x8IgVdmzb52vDL8a6ueAp7t_mH51KFq=cX3z#qVm(3vR8isgVMA6(s4-L6_)Uu<6CnGvgBzkmD`8WfD}H_<dget5Vgkk@%f2O-bL"
    "yI}?t@@?N8;4@fm+`<>JUJDw!M~XS2p65C5$DMf6fJg1^5yAd*mXKRIjCWIE23NRUzNfCwug7~HtIpJNg9hVyJX0p(#s1cIN7|o2vnUuL-_fv}zXIyWM6f#9"
    "<bzIJ-t_yKCXhFC9=berLS8}Ri>juJMpvb=Vm2|h*rh@)mz=V8m}*QOlSNfBD%GmwLW^kIm_s05{UbERS!~f!KxeHgk#sfagD;kXiEY%et(F||)5UDjTc!Bz"
    "Ypq$KitD3q-A`170x#6_LGaEQ2Nhm0wrHswVd&tgGQ42Ho?xiW38s&^^OXBNO^dHL{deM3<aQiqFiQaP%>{?l_*k`~l6CEB($)u?O&c_OmWcJb_5ZYRxR*nj"
    "9&TrF&*>iKJk5&<)+n)BU0!X(AATCMEd"
)
AES = (
    "c-oCqO>Yx15WVlO@FhpO;~9TSQKZr)5`rpG1HB*){usAGZMNEMQOlp?z(0ULf;Xi!q8wOhC3|Mx8_)CeWOcfDC6B0?{P_9pdxHW*7e6=CY16)cxMk6<!X@vT"
    "_N2Sp4nj8V+fCkyk3!YLbMdK}%^Ke35kfDZCt(QJ-DUI0Ax7@=1AzKxuckfcU3b@~il~`d-kx#ZgxB4DZ3{=R|1AnKwS9&3To3j)w?5#$5W12I)3on+dpTSQ"
    ")OEcQ3cd2iqQ|CPY_13HMY|rtHitep?NUr-NC@5)T_l@mASb1mlm(kfWk6LdqIVu8YUvU=X}tys$%p7{KnK<bcF9q8L8s^-=?u!T4xU_+b+iw)OEDM|nG#Cn"
    "ATO;{mXz`dos$Y&aAXbGpg}{1pcrdLIS+<R3|?t1BQcX9=Y0k$Y%)3qYg9&=YL}D6C}kZk|6U#64OjCoqj2qMmzKA@9gEIHdpuuX&>x`)M@h#kSPwS~@klUk"
    "`sdAZUPmw_Q(@52#^P)a##)^c<|wV^WTC1Pk(HL7r6&rt+`1rRv`UAPM<FVW(~eZp%I7)&flm@4OGz#p<)zCpvCfq(18aySD~!6J=E%hmxKe3W+}~8+P%+tq"
    "Q(Po+Vs8p!2ujwAs5hZ#c3_qJo=XGO9`N)@VYDVKig=Dy+wC(4F{#C4X8Rno>P1W<y@=r<cId<An)|(1*PE|AI`zEk20?pMw{K3X@u#EdymQ`isFurQ6JR74"
    "kuasC<m`V+>VuhYQ~z)~2>tY8c0=fgy$IGqGnveni{=;C!VIq"
)


def colour(number: int) -> tuple[int, int, int]:
    return number * 37 % 256, number * 91 % 256, 40


def pages_as_pdf(count: int, size=(144, 72)) -> bytes:
    """A PDF of one-coloured pages, `size` in points, the colour says the number."""
    pages = [Image.new("RGB", size, colour(number)) for number in range(1, count + 1)]
    pages[0].save(file := io.BytesIO(), "PDF", save_all=True, append_images=pages[1:], resolution=72)
    return file.getvalue()


def decoded(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))


def numbers(pages) -> list[int]:
    """The numbers that the colours of the pages say (JPEG inside the PDF moves a colour by a step or two)."""
    colours = np.array([colour(number) for number in range(1, 60)])
    return [int(np.abs(colours - np.asarray(page)[2, 2]).sum(1).argmin()) + 1 for page in pages]


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pdf") / "a book.pdf"
    path.write_bytes(pages_as_pdf(23))
    return path


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pages", "workers"), [(None, None), (None, 3), ([5, 1, 5, 23], 2), (range(2, 9), 1), (7, None)])
def test_pages_come_in_the_order_asked_for(book, pages, workers):
    expected = range(1, 24) if pages is None else [7] if pages == 7 else pages
    found = pdf_pages(book, pages=pages, dpi=36, workers=workers)
    assert numbers(found) == list(expected) and {(page.mode, page.size) for page in found} == {("RGB", (72, 36))}


def test_bytes_are_read_like_a_file(book):
    assert numbers(pdf_pages(book.read_bytes(), pages=[3, 2])) == [3, 2]
    assert pdf_sizes(book.read_bytes()) == pdf_sizes(book) == [(144, 72)] * 23


@pytest.mark.parametrize(("options", "size"), [
    ({}, (288, 144)),
    ({"dpi": 72}, (144, 72)),
    ({"dpi": 30}, (60, 30)),
    ({"max_pixels": 5000}, (100, 50)),
    ({"dpi": 72, "max_pixels": 1e9}, (144, 72)),
    ({"sizes": [(96, 64)]}, (96, 64)),
])  # fmt: skip
def test_the_size_of_the_picture(book, options, size):
    assert pdf_pages(book, pages=[1], **options)[0].size == size


def test_a_turned_page_is_upright():
    document = pdfium.PdfDocument.new()
    document.new_page(200, 100).set_rotation(90)
    document.save(file := io.BytesIO())
    assert pdf_sizes(file.getvalue()) == [(100, 200)]
    assert pdf_pages(file.getvalue(), dpi=72)[0].size == (100, 200)


def test_what_is_drawn_is_what_pdfium_draws_in_this_process(book):
    own = pdfium.PdfDocument(book)[0].render(scale=2).to_pil().convert("RGB")
    assert pdf_pages(book, pages=1)[0].tobytes() == own.tobytes()


def test_progress_sees_every_page(book):
    seen = []

    def progress(pages, total):
        for page in pages:
            seen.append(total)
            yield page

    assert len(pdf_pages(book, dpi=36, progress=progress)) == 23 and seen == [23] * 23


def test_tqdm_is_such_a_progress(book, capsys):
    tqdm = pytest.importorskip("tqdm").tqdm
    pdf_pages(book, pages=[1, 2], progress=tqdm)
    assert "2/2" in capsys.readouterr().err


def test_a_stopped_reading_leaves_no_process(book, monkeypatch):
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(pdf.subprocess, "Popen", lambda *args, **kwargs: started.append(popen(*args, **kwargs)) or started[-1])

    def stop(pages, total):
        yield next(pages)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pdf_pages(book, workers=2, progress=stop)
    assert len(started) == 3 and all(process.returncode is not None for process in started)


# --- bad files ------------------------------------------------------------------------------------------------------

NO_PDF = "cannot be read as a PDF"


@pytest.mark.parametrize(("content", "password", "says"), [
    (b"", None, NO_PDF),
    (b"%PDF-1.7 and then nothing", None, NO_PDF),
    (b"<html>not found</html>" * 50, None, NO_PDF),
    (decoded(RC4), None, "is encrypted: pass password="),
    (decoded(AES), None, "is encrypted: pass password="),
    (decoded(AES), "", "is encrypted: pass password="),
    (decoded(RC4), "wrong", "is encrypted, and the password does not open it"),
    (decoded(AES), "wrong", "is encrypted, and the password does not open it"),
])  # fmt: skip
def test_a_file_that_cannot_be_opened_says_why(tmp_path, content, password, says):
    (tmp_path / "bad.pdf").write_bytes(content)
    with pytest.raises(ValueError, match=rf"bad\.pdf' {says}") as error:
        pdf_pages(tmp_path / "bad.pdf", password=password)
    assert "wrong" not in str(error.value), "a password is not shown"


@pytest.mark.parametrize("content", [RC4, AES])
def test_the_right_password_opens(content):
    assert pdf_pages(decoded(content), password="geheim", dpi=72)[0].size == (72, 36)


def test_no_file_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pdf"):
        pdf_pages(tmp_path / "nothing.pdf")


def test_of_a_cut_off_file_pages_or_a_clear_error(book):
    content = book.read_bytes()
    for share in (0.3, 0.6, 0.95):
        with pytest.raises(ValueError, match=f"the PDF of .* bytes ({NO_PDF}|has a page)"):
            pdf_pages(content[: int(len(content) * share)])


def test_only_a_broken_page_cannot_be_read():
    content = pages_as_pdf(3).replace(b" 5 0 R ]", b" 8 0 R ]", 1)  # the third page is said to be the list of pages itself
    assert content != pages_as_pdf(3)
    assert numbers(pdf_pages(content, pages=[2, 1])) == [2, 1]
    for read in (pdf_pages, pdf_sizes):
        with pytest.raises(ValueError, match="bytes has a page 3 that cannot be read"):
            read(content)


def test_a_crash_of_the_renderer_is_an_error_here(monkeypatch, book):
    monkeypatch.setattr(pdf, "_START", "import os; os.abort()")
    with pytest.raises(ValueError, match=r"a book\.pdf' made PDFium crash \(code -6"):
        pdf_pages(book)


def test_without_pypdfium2_it_says_what_to_install(monkeypatch, book):
    monkeypatch.setattr(pdf, "_START", pdf._START.replace("runpy.run", "sys.modules['pypdfium2'] = None; runpy.run", 1))
    with pytest.raises(ImportError, match="pip install pypdfium2"):
        pdf_pages(book)


@pytest.mark.parametrize(("options", "says"), [
    ({"pages": [0]}, "^pages must be numbers from 1 to 23"),
    ({"pages": [24]}, "^pages must be"),
    ({"pages": []}, "^pages must be"),
    ({"pages": [1.5]}, "^pages must be"),
    ({"dpi": 0}, "^dpi must be a positive number"),
    ({"max_pixels": float("nan")}, "^max_pixels must"),
    ({"workers": 0}, "^workers must be a positive whole number"),
    ({"progress": True}, r"^progress must be None or a function such as tqdm\.auto\.tqdm"),
    ({"pages": [1, 2], "sizes": [(64, 64)]}, "^sizes must be .* of each of the 2 pages"),
    ({"pages": [1], "sizes": [(64.5, 64)]}, "^sizes must be .* in whole pixels"),
])  # fmt: skip
def test_a_bad_option_is_named(book, options, says):
    with pytest.raises(ValueError, match=says):
        pdf_pages(book, **options)


def test_another_source_is_a_type_error():
    with pytest.raises(TypeError, match="^source must be a path or the bytes of a PDF, got int"):
        pdf_sizes(7)


# --- the plan -------------------------------------------------------------------------------------------------------

MIXED = [A4, A4, (842, 595), (144, 72), (2384, 3370), (30, 20), A4]


@pytest.fixture(scope="module")
def processor():
    transformers = pytest.importorskip("transformers")
    size = {"shortest_edge": pdf.MIN_PIXELS, "longest_edge": pdf.MAX_PIXELS}
    return transformers.Qwen2VLImageProcessor(patch_size=16, merge_size=2, size=size)


@pytest.mark.parametrize("budget", [2_000, 4_321, 10_000, 200_000])
def test_planned_pages_cost_what_the_plan_says(processor, budget):
    plan = plan_pages(MIXED, budget)
    assert sum(page["tokens"] for page in plan) <= budget and [page["page"] for page in plan] == [1, 2, 3, 4, 5, 6, 7]
    for width, height in [page["size"] for page in plan]:
        assert processor.get_number_of_image_patches(height, width, {}) == width * height // 256, "not resized"
    assert [page["tokens"] for page in plan] == [math.prod(page["size"]) // 1024 for page in plan]


def test_the_processor_leaves_a_planned_page_as_it_is(processor):
    page = plan_pages([A4], 300)[0]
    _, rows, columns = processor(images=[Image.new("RGB", page["size"])], return_tensors="np")["image_grid_thw"][0]
    assert (columns * 16, rows * 16) == page["size"] and rows * columns // 4 == page["tokens"]


@pytest.mark.parametrize("budget", [2_000, 4_321, 10_000])
def test_the_cap_is_the_largest_that_fits(budget):
    most = max(cap for cap in range(256, 4000) if sum(pdf._tokens(size, 144, cap) for size in MIXED) <= budget)
    assert sum(page["tokens"] for page in plan_pages(MIXED, budget)) == sum(pdf._tokens(size, 144, most) for size in MIXED)


def test_with_enough_budget_every_page_gets_its_sharpness():
    dots = {page["dpi"] for page in plan_pages([A4, (842, 595)], 100_000, dpi=150)}
    assert dots <= set(range(146, 155))


def test_a_plan_renders_to_its_sizes(book):
    plan = plan_pages(pdf_sizes(book), 23 * 256, dpi=600)
    pages = pdf_pages(book, sizes=[page["size"] for page in plan])
    assert [page.size for page in pages] == [page["size"] for page in plan] and numbers(pages) == list(range(1, 24))


def test_of_a_budget_too_small_it_says_how_many_pages_fit():
    with pytest.raises(ValueError, match=r"^budget_tokens must be enough for 20 pages .* 1000 is enough for the first 4"):
        plan_pages([A4] * 20, 1000)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: plan_pages([], 100), "^sizes must be"),
    (lambda: plan_pages([(0, 5)], 100), "^sizes must be"),
    (lambda: plan_pages([A4], -1), "^budget_tokens must be a positive number"),
    (lambda: plan_pages([A4], 999, min_tokens=9), "^min_tokens and max_tokens must be from 200 to 16384"),
    (lambda: plan_pages([A4], 999, min_tokens=400, max_tokens=300), "^min_tokens and max_tokens must be"),
    (lambda: plan_pages([(10, 9000)], 999), "^sizes must be pages whose sides are in a ratio of at most 200"),
])  # fmt: skip
def test_a_bad_plan_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_every_page_of_any_shape_keeps_to_its_cap():
    for ratio, cap in itertools.product([1, 1.5, 3, 9, 40, 199], [200, 256, 300, 1000]):
        tokens = pdf._tokens((1000, 1000 / ratio), 300, cap)
        assert 64 <= tokens <= cap, (ratio, cap)


# --- the file alone -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="signals of a crashed process are POSIX")
def test_the_file_can_be_copied_alone(tmp_path, book):
    shutil.copy(pdf.__file__, tmp_path / "mine.py")
    code = (
        "import sys; sys.path.insert(0, '.'); import mine\n"
        f"print(len(mine.pdf_pages({str(book)!r}, dpi=36)), [name for name in sys.modules if name.startswith(('cookbook', 'pypdfium'))])"
    )
    run = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "23 []", run.stderr
    assert "cookbook_utils" not in Path(pdf.__file__).read_text(encoding="utf-8")
