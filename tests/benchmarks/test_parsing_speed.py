"""A reply of 1,000 boxes that is cut off inside the next one: `parse_boxes` beside json_repair, in one run.

A well-formed reply would say little: there both hand the text to the C scanner of `json`, and json_repair does no more
than that, while `parse_boxes` also checks every box. No time is asserted: compare the rows of the group.

    python -m pytest tests/benchmarks/test_parsing_speed.py --benchmark-only
"""

import json
import random

import json_repair
import pytest

from cookbook_utils.parsing import parse_boxes

COUNT = 1000


@pytest.fixture(scope="module")
def reply() -> str:
    rng = random.Random(0)
    boxes = [{"bbox_2d": [rng.randrange(1000) for _ in range(4)], "label": f"thing {i}"} for i in range(COUNT)]
    return "```json\n" + json.dumps(boxes)[:-1] + ', {"bbox_2d": [555, 575, 80'


@pytest.mark.benchmark(group="parse 1,000 boxes")
def test_ours(benchmark, reply):
    assert len(benchmark(parse_boxes, reply)) == COUNT


@pytest.mark.benchmark(group="parse 1,000 boxes")
def test_json_repair(benchmark, reply):
    assert len(benchmark(json_repair.loads, reply)) >= COUNT
