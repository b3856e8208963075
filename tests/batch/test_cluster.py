"""A batch on a Ray cluster of this machine, against a real HTTP server that misbehaves on purpose."""

import json
import re
import subprocess
import sys

import pytest
from faulty_server import answers, late, says, server, status  # noqa: F401 - a fixture too
from PIL import Image

from cookbook_utils.batch import run_batch
from cookbook_utils.batch.__main__ import main
from cookbook_utils.models.faults import UnknownModel

PLAIN = answers(b"<html>down</html>", 400, kind="text/html")  # what Ray's own client ends a whole job for


@pytest.fixture(scope="module")
def ray():
    """One small cluster for all tests of this file; Ray gives itself 30 s to start, which a busy machine may not manage."""
    import ray

    for tries_left in (2, 1, 0):
        try:
            ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False, logging_level="ERROR")
            break
        except Exception as error:  # noqa: BLE001 - it is a plain Exception
            ray.shutdown()
            if not tries_left or "timed out during startup" not in str(error):
                raise
    yield ray
    ray.shutdown()


def echo(handler, body):
    """Answers with the words of the question; "bad" is refused in JSON, "worse" in HTML."""
    content = body["messages"][-1]["content"]
    words = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content).strip()
    (status(400, "bad words") if "bad" in words else PLAIN if "worse" in words else says(f"re: {words}"))(handler, body)


@pytest.fixture
def spec(ray, server):  # noqa: F811
    server.script = [echo]
    return f"vllm:{server.url}"


def written(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_picture_of_a_folder_has_its_line(spec, server, tmp_path):  # noqa: F811
    folder, output = tmp_path / "pictures", tmp_path / "replies.jsonl"
    folder.mkdir()
    for index in range(5):
        Image.new("RGB", (64, 48), (index, 0, 0)).save(folder / f"{index}.png")
    (folder / "3.png").write_text("no picture")
    summary = run_batch(folder, output, spec, prompt="What?", max_new_tokens=5)
    assert (summary.inputs, summary.answered, summary.failed) == (5, 4, 1)
    assert [line["id"] for line in written(output)] == [f"{index}.png" for index in range(5)]
    assert "3.png" in written(output)[3]["error"] and "What?" in written(output)[4]["reply"]["text"]
    assert len(server.requests) == 4 and all(body["max_tokens"] == 5 for body in server.requests)


def test_what_fails_stops_nothing_else_and_is_asked_again(spec, server, tmp_path):  # noqa: F811
    source, output = tmp_path / "requests.jsonl", tmp_path / "replies.jsonl"
    entries = [{"prompt": "0"}, {"prompt": "bad"}, {"prompt": "2"}, {"prompt": "worse"}, {"messages": [{"role": "user", "content": "4"}]}]
    source.write_text("\n".join(map(json.dumps, entries)) + "\nno json\n")
    assert main([str(source), str(output), "--model", spec, "--batch-size", "2"]) == 1
    lines = written(output)
    assert ["reply" in line for line in lines] == [True, False, True, False, True, False]
    assert "bad words" in lines[1]["error"] and "line 6" in lines[5]["error"] and len(server.requests) == 5
    server.script = [says("mended")]
    summary = run_batch(source, output, spec, batch_size=2)
    assert (summary.answered, summary.before, summary.failed) == (5, 3, 1) and len(server.requests) == 7
    assert [line.get("reply", {}).get("text") for line in written(output)] == ["re: 0", "mended", "re: 2", "mended", "re: 4", None]


def test_a_batchs_requests_are_under_way_together(spec, server, tmp_path):  # noqa: F811
    server.script = [late(0.5, says("a"))]
    (tmp_path / "requests.jsonl").write_text("\n".join(json.dumps({"prompt": str(index)}) for index in range(8)))
    run_batch(tmp_path / "requests.jsonl", tmp_path / "replies.jsonl", spec, batch_size=4)
    assert 2 <= server.most_under_way <= 4


# --- without a cluster ----------------------------------------------------------------------------------------------


def test_a_server_without_a_model_is_found_before_the_cluster_is(server, tmp_path):  # noqa: F811
    server.models = []
    (tmp_path / "requests.jsonl").write_text('{"prompt": "?"}')
    with pytest.raises(UnknownModel, match="lists no model"):
        run_batch(tmp_path / "requests.jsonl", tmp_path / "out.jsonl", f"vllm:{server.url}")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (["none.jsonl", "out.jsonl"], "no such folder or file: none.jsonl"), (["none.jsonl", "out.jsonl", "--set", "heat=1"], "unknown generation setting heat"),
])  # fmt: skip
def test_a_wrong_call_says_why(server, capsys, arguments, words):  # noqa: F811
    assert main([*arguments, "--model", f"vllm:{server.url}"]) == 2 and words in capsys.readouterr().err


def test_ray_is_not_loaded_before_it_is_used():
    code = "import cookbook_utils.batch, sys; print([name for name in ('ray', 'torch', 'openai') if name in sys.modules])"
    assert re.search(r"^\[\]$", subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout, re.MULTILINE)
