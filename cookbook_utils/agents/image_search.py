"""Two answers to `image_search`: a local index of pictures, and the web where there is a key.

    think(model, question, picture, search=ImageIndex({"lion": "lion.png", ...}))
    think(model, question, picture, search=WebSearch())          # GOOGLE_API_KEY in the environment

Both are functions of a picture that return text, as the model reads it.

`ImageIndex` compares what the embedded model's vision tower makes of the pictures: their visual tokens, each counted by how
much it differs from those at the picture's border, so that a thing counts and its background does not. That runs anywhere
and finds the artwork of the embedded model's world where it fills the picture, in the index as in what is searched for; for
photographs give an `embed` of your own. torch and transformers are imported with the first picture.

`WebSearch` sends the picture to Google Cloud Vision's web detection, the one public interface that takes a picture itself
rather than its address. Source: https://cloud.google.com/vision/docs/detecting-web
"""

from __future__ import annotations

import base64
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from ..models.media import load_image
from .schemas import ToolError

__all__ = ["ImageIndex", "WebSearch"]

ADDRESS = "https://vision.googleapis.com"
LONGEST_SIDE = 1024  # of a picture that is sent
KEY = "GOOGLE_API_KEY"


class ImageIndex:
    """Pictures with titles, searched by similarity.

    pictures: title to picture (PIL or a path). embed: a function of a picture that returns a vector `(C,)`, by default
    `tower_features`. Raises ValueError without pictures, and what `load_image` raises for one.
    """

    def __init__(self, pictures: Mapping[str, Image.Image | str | Path], *, embed: Callable[[Image.Image], np.ndarray] | None = None):
        if not pictures:
            raise ValueError("pictures: expected at least one title with its picture, got none")
        self.pictures = {title: load_image(picture, title) for title, picture in pictures.items()}
        self.embed = embed or tower_features

    @cached_property
    def _vectors(self) -> np.ndarray:
        return np.stack([unit(self.embed(picture)) for picture in self.pictures.values()])  # (N, C)

    def search(self, picture: Image.Image | str | Path, count: int = 3) -> list[dict]:
        """The most similar pictures, the best first: `{"title", "score"}`, the score a cosine from -1 to 1."""
        scores = self._vectors @ unit(self.embed(load_image(picture)))
        titles = list(self.pictures)
        return [{"title": titles[i], "score": round(float(scores[i]), 3)} for i in np.argsort(-scores)[:count]]

    def __call__(self, picture: Image.Image) -> str:
        return "\n".join(f"{n}. {found['title']} (similarity {found['score']:.2f})" for n, found in enumerate(self.search(picture), 1))


class WebSearch:
    """The web's idea of a picture, by Google Cloud Vision. The picture leaves this machine.

    key: default the environment's GOOGLE_API_KEY; address: of the interface. Raises ValueError without a key.
    """

    def __init__(self, key: str | None = None, *, address: str = ADDRESS, timeout_s: float = 20.0):
        if not (key or os.environ.get(KEY)):
            raise ValueError(f"key: web search needs a key for Google Cloud Vision, here or in the environment as {KEY}")
        self._key, self.address, self.timeout_s = key or os.environ[KEY], address.rstrip("/"), timeout_s

    def __repr__(self) -> str:
        return f"WebSearch(address={self.address!r})"

    def search(self, picture: Image.Image | str | Path, count: int = 5) -> dict:
        """`{"labels", "entities", "pages"}`: best guesses, `{"title", "score"}`, `{"title", "url"}`, at most `count` of each.

        Raises ToolError, whose text is an answer to the model, when the search fails.
        """
        found = self._asked(encoded(load_image(picture)), count)
        named = [entity for entity in found.get("webEntities", []) if entity.get("description")]
        entities = [{"title": entity["description"], "score": round(entity.get("score", 0.0), 2)} for entity in named]
        pages = [{"title": p.get("pageTitle", ""), "url": p["url"]} for p in found.get("pagesWithMatchingImages", [])]
        return {"labels": [guess["label"] for guess in found.get("bestGuessLabels", []) if "label" in guess],
                "entities": entities[:count], "pages": pages[:count]}  # fmt: skip

    def __call__(self, picture: Image.Image) -> str:
        found = self.search(picture)
        lines = [*found["labels"], *(e["title"] for e in found["entities"]), *(f"{p['title']} {p['url']}" for p in found["pages"])]
        return "\n".join(f"{n}. {line}" for n, line in enumerate(dict.fromkeys(lines), 1)) or "nothing was found"

    def _asked(self, picture: str, count: int) -> dict:
        wanted = {"image": {"content": picture}, "features": [{"type": "WEB_DETECTION", "maxResults": count}]}
        headers = {"Content-Type": "application/json", "X-Goog-Api-Key": self._key}
        request = urllib.request.Request(f"{self.address}/v1/images:annotate", json.dumps({"requests": [wanted]}).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:
                answer = json.load(response)["responses"][0]
        except urllib.error.HTTPError as error:  # told anew: the error knows the request with its key
            fault = f"the web search answered {error.code} {error.reason}"
        except (OSError, ValueError, KeyError, IndexError) as error:
            fault = f"the web search gave no answer: {type(error).__name__}"
        else:
            if "error" not in answer:
                return answer.get("webDetection", {})
            fault = f"the web search refused the picture: {answer['error'].get('message', 'no reason given')}"
        raise ToolError(fault)


def unit(vector: np.ndarray) -> np.ndarray:
    """The vector of length 1 in the same direction."""
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


@lru_cache(maxsize=1)
def _tower():
    """The embedded model's processor and vision tower."""
    from ..models import load_model

    model = load_model("tiny")
    return model.processor.image_processor, model.network.model.visual


def tower_features(picture: Image.Image) -> np.ndarray:
    """The mean visual token `(C,)` of a picture, each weighted by its squared distance from the mean of those at the border."""
    import torch

    processor, visual = _tower()
    inputs = processor(images=[picture], return_tensors="pt")
    with torch.inference_mode():
        tokens = visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"], return_dict=True).pooler_output.float().numpy()
    rows, columns = (int(side) // processor.merge_size for side in inputs["image_grid_thw"][0, 1:])
    edge = np.ones((rows, columns), bool)
    edge[1:-1, 1:-1] = False
    weights = ((tokens - tokens[edge.ravel()].mean(0)) ** 2).sum(1) + 1e-12
    return weights @ tokens / weights.sum()


def encoded(picture: Image.Image) -> str:
    """A picture as base64 of a JPEG, 1024 pixels at most."""
    small, buffer = picture.copy(), io.BytesIO()
    small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    small.save(buffer, "JPEG", quality=90)
    return base64.b64encode(buffer.getvalue()).decode()
