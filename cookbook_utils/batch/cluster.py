"""The batch on a cluster, and Ray Data's HTTP processor around a model behind a server; weights are in engine.py.

Ray spreads the requests, our own client sends them. The processor's own one stops the whole job at the first answer that
is no JSON or after its last try, and sends the requests of a batch one by one. So its session is replaced, which it
allows: `Session` asks through `load_model(spec)`, with that model's retries, limits and faults, a batch at a time, and
gives every fault as an answer.

Rows carry texts only (JSON), because columns of dicts would be filled up with empty fields to be alike.
"""

import asyncio
import functools
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from ..models import Model, ModelError, load_model, weights_of
from ..models.remote import RemoteModel
from .requests import Request, read_requests
from .results import Results, Summary

FAILED = "__inference_error__"  # Ray's column: a row in which it is filled passes all of Ray's stages by
BATCH_SIZE = 16  # requests under way at once in each of Ray's actors


def run_batch(
    source: str | Path, output: str | Path, model: str | None = None, *, prompt: str | None = None, system: str | None = None,
    actors: int = 1, batch_size: int = BATCH_SIZE, engine: dict | None = None, **settings,
) -> Summary:  # fmt: skip
    """Ask a model about every input of a folder or a JSONL file, on a Ray cluster, and write the replies to a JSONL file.

    model: a spec, see `load_model`; of weights (`transformers:NAME_OR_PATH`, `tiny`) vLLM computes with them on the
    cluster's GPUs, see engine.py. settings: generation settings of every request.
    actors: how many processes ask, each `batch_size` requests at once; with weights, how many engines there are at most,
    each on a GPU of its own, fed `batch_size` requests at a time. engine: with weights, vLLM's own engine arguments, such
    as {"max_model_len": 32768}. Inputs that the output has replies to are not asked again, with other ones neither.
    Raises ValueError for weights where vLLM or a GPU is missing, whatever `load_model` and `read_requests` raise, and
    ModelError when the server does not tell its model's name, or when Ray ends the run (an engine that does not start).
    """
    asked = _opened(model, engine)
    asked.check_settings(**settings)
    requests = read_requests(source, prompt=prompt, system=system)
    name = f"{asked.spec} {asked.name}"  # asked for once, before any worker is: a server that is not there shows here
    results = Results(output, requests, [request.key(name, settings) for request in requests])
    lost = "not asked: the run ended before"
    try:
        if missing := results.missing():
            for index, answer in _answers(asked, [(i, requests[i]) for i in missing], settings, actors, batch_size, engine):
                results.add(index, **answer)
        lost = "Ray gave no answer to it"
    finally:
        summary = results.close(lost)
    return summary


def _opened(spec: str | None, engine: dict | None) -> Model:
    """The model to ask: behind a server, or a checkpoint whose weights are loaded on the cluster."""
    if weights := weights_of(spec):
        from .engine import EngineModel, check_vllm

        check_vllm(weights[0])
        return EngineModel(*weights)
    model = load_model(spec)
    if engine:
        raise ValueError(
            f"engine: {', '.join(engine)} is for weights that vLLM computes with; {model.spec} is a server, started with its own"
        )
    return model


def _answers(model: Model, wanted: list[tuple[int, Request]], settings: dict, actors: int, batch_size: int, engine: dict | None):
    """Give `(index, {"reply": ...} or {"error": ...})` as they come from Ray."""
    import ray
    from ray.data.llm import build_processor

    _connect(ray)
    rows = [{"index": index, "request": json.dumps(request.arguments)} for index, request in wanted]
    blocks = -(-len(rows) // batch_size)
    config, before, after = _stages(model, settings, actors, batch_size, engine)
    ask = build_processor(config, preprocess=before, postprocess=after)
    try:
        for row in ask(ray.data.from_items(rows, override_num_blocks=blocks)).iter_rows():
            failed = row.get(FAILED)
            yield row["index"], {"error": failed} if failed else json.loads(row["answer"])
    except ray.exceptions.RayError as error:
        why = str(error).strip().splitlines()[-1].strip()  # above it stand the stacks of all processes that it came through
        raise ModelError(
            f"Ray ended the run: {why}; more stands in its logs, on this machine in /tmp/ray/session_latest/logs"
        ) from error


def _stages(model: Model, settings: dict, actors: int, batch_size: int, engine: dict | None) -> tuple:
    """Ray's configuration, and what is done with each row before and after."""
    if not isinstance(model, RemoteModel):
        from .engine import stages

        return stages(model, settings, actors, batch_size, engine or {})
    from ray.data.llm import HttpRequestProcessorConfig

    session = functools.partial(Session, model.spec, settings, batch_size)
    config = HttpRequestProcessorConfig(url=model.address, batch_size=batch_size, concurrency=actors, session_factory=session)
    return config, _payload, _outcome


def _connect(ray) -> None:
    """Use the cluster of RAY_ADDRESS, or start one of our own on this machine, whatever other runs there; quietly."""
    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS", "local")
        local = {"include_dashboard": False} if address == "local" else {}
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
