"""Similar pictures: a local index over artwork on other backgrounds, and web detection from a server that speaks its protocol."""

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from cookbook_utils.agents.image_search import ImageIndex, WebSearch
from cookbook_utils.agents.schemas import ToolError
from cookbook_utils.tiny.artwork import things
from cookbook_utils.tiny.clip_parts import Look

KNOWN = range(0, 200, 10)


def drawn(thing, ground, side=150, mirrored=False):
    picture = Image.new("RGB", (256, 256), ground)
    Look(thing, 128, 128, side, mirrored=mirrored).draw(picture, 1)
    return picture


def means(picture):
    return np.asarray(picture, float).mean((0, 1))


@pytest.fixture(scope="module")
def index():
    return ImageIndex({things()[thing].name: drawn(thing, "white") for thing in KNOWN})


def test_a_thing_is_found_on_another_background_in_another_size(index):
    found = [index.search(drawn(thing, "teal", 110, mirrored=True))[0]["title"] for thing in KNOWN]
    assert np.mean([title == things()[thing].name for title, thing in zip(found, KNOWN, strict=True)]) >= 0.9


def test_the_model_reads_titles_with_their_similarity(index):
    first, *rest = index(drawn(KNOWN[0], "navy")).splitlines()
    assert first.startswith(f"1. {things()[KNOWN[0]].name} (similarity ") and len(rest) == 2


def test_any_embedding_will_do_and_one_picture_too(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    assert ImageIndex({"red": tmp_path / "red.png"}, embed=means).search(Image.new("RGB", (9, 9), "red")) == [{"title": "red", "score": 1.0}]


def test_an_index_needs_pictures(tmp_path):
    with pytest.raises(ValueError, match="pictures: expected at least one"):
        ImageIndex({})
    with pytest.raises(FileNotFoundError):
        ImageIndex({"none": tmp_path / "none.png"})


# --- the web ---------------------------------------------------------------------------------

DETECTED = {"webDetection": {
    "webEntities": [{"entityId": "/m/1", "score": 0.91, "description": "Lion"}, {"entityId": "/m/2", "score": 0.2}],
    "pagesWithMatchingImages": [{"url": "https://example.org/lion", "pageTitle": "Lions"}],
    "visuallySimilarImages": [{"url": "https://example.org/a.png"}],
    "bestGuessLabels": [{"label": "lion", "languageCode": "en"}],
}}  # fmt: skip


@pytest.fixture
def web():
    """A server that answers as Cloud Vision does; `answer` is (status, body), `asked` what came."""

    class Handler(BaseHTTPRequestHandler):
        answer, asked = (200, {"responses": [DETECTED]}), []  # the class is made anew for each test

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.asked.append((self.path, self.headers["X-Goog-Api-Key"], body))
            status, said = self.answer
            self.send_response(status)
            self.end_headers()
            self.wfile.write(said if isinstance(said, bytes) else json.dumps(said).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    Handler.address = f"http://127.0.0.1:{server.server_port}"
    yield Handler
    server.shutdown()
    server.server_close()


def test_web_detection_gets_the_picture_itself(web):
    search = WebSearch("secret", address=web.address)
    assert search(Image.new("RGB", (3000, 1500), "teal")).splitlines() == ["1. lion", "2. Lion", "3. Lions https://example.org/lion"]
    [(path, key, body)] = web.asked
    [request] = body["requests"]
    sent = Image.open(io.BytesIO(base64.b64decode(request["image"]["content"])))
    assert (path, key, sent.size) == ("/v1/images:annotate", "secret", (1024, 512))
    assert request["features"] == [{"type": "WEB_DETECTION", "maxResults": 5}] and "secret" not in repr(search)


@pytest.mark.parametrize(("answer", "said"), [
    ((403, {"error": {"code": 403}}), "answered 403"),
    ((200, {"responses": [{"error": {"code": 3, "message": "Bad image data."}}]}), "refused the picture: Bad image data."),
    ((200, b"<html>"), "gave no answer"),
    ((200, {"responses": []}), "gave no answer"),
])  # fmt: skip
def test_a_failed_search_is_told_to_the_model(web, answer, said):
    web.answer = answer
    with pytest.raises(ToolError, match=said) as caught:
        WebSearch("secret", address=web.address)(Image.new("RGB", (8, 8)))
    assert "secret" not in str(caught.value) and caught.value.__context__ is None


def test_nothing_found_is_said(web):
    web.answer = (200, {"responses": [{}]})
    assert WebSearch("secret", address=web.address)(Image.new("RGB", (8, 8))) == "nothing was found"


def test_without_a_key_there_is_no_web(monkeypatch):
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with pytest.raises(ValueError, match="GOOGLE_API_KEY"):
        WebSearch()
