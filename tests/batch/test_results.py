"""The output of a batch: nothing is lost, nothing is there twice, and another file is left alone."""

import json

import pytest

from cookbook_utils.batch.requests import Request
from cookbook_utils.batch.results import Results

REQUESTS = [Request(name, {"prompt": name}) for name in "abc"]
KEYS = ["ka", "kb", "kc"]


def read(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_come_in_the_order_of_the_inputs(tmp_path):
    results = Results(tmp_path / "new" / "out.jsonl", REQUESTS, KEYS)
    for index in (2, 0):
        results.add(index, reply={"text": str(index)})
    results.add(1, error="refused")
    summary = results.close("lost")
    written = read(results.path)
    assert [line["id"] for line in written] == ["a", "b", "c"] and written[1]["error"] == "refused" and written[2]["reply"] == {"text": "2"}
    assert str(summary) == "3 inputs: 2 answered (0 by an earlier run), 1 failed; the same command again asks for those that failed"


def test_an_outcome_is_written_down_at_once(tmp_path):
    results = Results(tmp_path / "out.jsonl", REQUESTS, KEYS)
    results.add(1, reply={"text": "1"})
    assert read(results.path) == [{"id": "b", "key": "kb", "reply": {"text": "1"}}]


@pytest.mark.parametrize(("cut", "left"), [(0, [2]), (1, [2]), (20, [1, 2])])
def test_a_run_goes_on_where_it_was(tmp_path, cut, left):
    first = Results(tmp_path / "out.jsonl", REQUESTS, KEYS)
    first.add(0, reply={"text": "0"})
    first.add(1, reply={"text": "1"})
    text = first.path.read_text()
    first.path.write_text(text[: len(text) - cut])
    second = Results(first.path, REQUESTS, KEYS)
    assert second.missing() == left
    for index in left:
        second.add(index, reply={"text": str(index)})
    assert [line["reply"]["text"] for line in (second.close(""), *read(second.path))[1:]] == ["0", "1", "2"]


def test_what_failed_is_asked_again(tmp_path):
    first = Results(tmp_path / "out.jsonl", REQUESTS, KEYS)
    first.add(0, reply={"text": "0"})
    first.add(1, error="refused")
    summary = first.close("Ray gave no answer to it")
    assert (summary.answered, summary.failed) == (1, 2) and read(first.path)[2]["error"] == "Ray gave no answer to it"
    assert Results(first.path, REQUESTS, KEYS).missing() == [1, 2]


def test_inputs_that_are_gone_leave_the_file(tmp_path):
    first = Results(tmp_path / "out.jsonl", REQUESTS, KEYS)
    for index in range(3):
        first.add(index, reply={"text": str(index)})
    first.close("")
    second = Results(first.path, REQUESTS[1:], KEYS[1:])
    summary = second.close("")
    assert second.missing() == [] and [line["id"] for line in read(first.path)] == ["b", "c"] and summary.before == 2


def test_a_line_that_is_no_request_is_not_asked(tmp_path):
    results = Results(tmp_path / "out.jsonl", [Request("a", {}, "line 1: no object")], ["ka"])
    assert results.missing() == [] and results.close("").failed == 1 and read(results.path)[0]["error"] == "line 1: no object"


def test_another_file_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("my\nnotes\n")
    with pytest.raises(ValueError, match="notes.txt is there, and is no output of a batch"):
        Results(tmp_path / "notes.txt", REQUESTS, KEYS)
    assert (tmp_path / "notes.txt").read_text() == "my\nnotes\n"


def test_a_file_of_failures_only_is_an_output_too(tmp_path):
    first = Results(tmp_path / "out.jsonl", REQUESTS, KEYS)
    first.close("lost")
    assert Results(first.path, REQUESTS, KEYS).missing() == [0, 1, 2]
