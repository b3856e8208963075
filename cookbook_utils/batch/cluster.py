"""Ray Data's HTTP processor around a model behind a server: Ray spreads the requests, our own client sends them.

The processor's own client stops the whole job at the first answer that is no JSON or after its last try, and sends the
requests of a batch one by one. So its session is replaced, which it allows: `Session` asks through `load_model(spec)`,
with that model's retries, limits and faults, a batch at a time, and gives every fault as an answer.

Rows carry texts only (JSON), because columns of dicts would be filled up with empty fields to be alike.
"""

import asyncio
import functools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from ..models import Model, load_model
from ..models.remote import RemoteModel
from .requests import Request, read_requests
from .results import Results, Summary

BATCH_SIZE = 16  # requests under way at once in each of Ray's actors


def run_batch(
    source: str | Path, output: str | Path, model: str | None = None, *, prompt: str | None = None, system: str | None = None,
    actors: int = 1, batch_size: int = BATCH_SIZE, **settings,
) -> Summary:  # fmt: skip
    """Ask a model about every input of a folder or a JSONL file, on a Ray cluster, and write the replies to a JSONL file.

    model: a spec of a model behind a server, see `load_model`; settings: generation settings of every request.
    actors: how many processes ask, each `batch_size` requests at once. Inputs that the output has replies to are not
    asked again. Raises ValueError for a model that is not behind a server, whatever `load_model` and `read_requests`
    raise, and ModelError when the server does not tell its model's name.
    """
    asked = _remote(load_model(model))
    asked.check_settings(**settings)
    requests = read_requests(source, prompt=prompt, system=system)
    name = f"{asked.spec} {asked.name}"  # asked for once, before any worker is: a server that is not there shows here
    results = Results(output, requests, [request.key(name, settings) for request in requests])
    lost = "not asked: the run ended before"
    try:
        if missing := results.missing():
            for index, answer in _answers(asked, [(i, requests[i]) for i in missing], settings, actors, batch_size):
                results.add(index, **answer)
        lost = "Ray gave no answer to it"
    finally:
        summary = results.close(lost)
    return summary


def _remote(model: Model) -> RemoteModel:
    if not isinstance(model, RemoteModel):
        raise ValueError(
            f"model: expected one behind a server, such as vllm:http://localhost:8000, got {model.spec}; on one machine "
            "model.chat_batch asks it without Ray"
        )
    return model


def _answers(model: RemoteModel, wanted: list[tuple[int, Request]], settings: dict, actors: int, batch_size: int):
    """Give `(index, {"reply": ...} or {"error": ...})` as they come from Ray."""
    import ray
    from ray.data.llm import HttpRequestProcessorConfig, build_processor

    _connect(ray)
    rows = [{"index": index, "request": json.dumps(request.arguments)} for index, request in wanted]
    blocks = -(-len(rows) // batch_size)
    config = HttpRequestProcessorConfig(
        url=model.address, batch_size=batch_size, concurrency=actors,
        session_factory=functools.partial(Session, model.spec, settings, batch_size),
    )  # fmt: skip
    ask = build_processor(config, preprocess=_payload, postprocess=_outcome)
    for row in ask(ray.data.from_items(rows, override_num_blocks=blocks)).iter_rows():
        yield row["index"], json.loads(row["answer"])


def _connect(ray) -> None:
    """Use the cluster that is there, or start one on this machine, quietly."""
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        local = {} if address else {"include_dashboard": False}
        ray.init(address=address, log_to_driver=False, logging_level="WARNING", configure_logging=True, **local)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False


def _payload(row: dict) -> dict:
    return {**row, "payload": {"request": row["request"]}}


def _outcome(row: dict) -> dict:
    return {"index": row["index"], "answer": row["http_response"]["answer"]}


# --- in Ray's actors ------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _model(spec: str) -> Model:
    """The model, held for as long as the actor lives."""
    return load_model(spec)


class Session:
    """Stands in for aiohttp's session: `post` begins at once, and its answer says what came or what went wrong."""

    def __init__(self, spec: str, settings: dict, size: int):
        self.spec, self.settings, self.size = spec, settings, size

    async def __aenter__(self):
        self.threads = ThreadPoolExecutor(self.size, thread_name_prefix="batch")
        return self

    async def __aexit__(self, *_):
        self.threads.shutdown(wait=False, cancel_futures=True)

    def post(self, url: str, *, headers: dict, data: str) -> asyncio.Future:
        """An answer in the making; the model knows the address itself."""
        arguments = json.loads(json.loads(data)["request"])
        return asyncio.get_running_loop().run_in_executor(self.threads, self._answer, arguments)

    def _answer(self, arguments: dict) -> "Answer":
        try:
            model = _model(self.spec)
            ask = model.chat if "messages" in arguments else model.ask
            return Answer({"reply": asdict(ask(**arguments, **self.settings))})
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this input's outcome and stops no other
            return Answer({"error": f"{type(error).__name__}: {error}"})


class Answer:
    """Stands in for aiohttp's response."""

    status, reason = 200, "OK"

    def __init__(self, content: dict):
        self.content = content

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def json(self) -> dict:
        """The outcome as one text, see the module's head."""
        return {"answer": json.dumps(self.content)}
