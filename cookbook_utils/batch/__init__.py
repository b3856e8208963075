"""Many requests on more than one machine: a folder of pictures or a file of requests through Ray Data.

    python -m cookbook_utils.batch pictures/ replies.jsonl --model vllm:http://localhost:8000 --prompt "What is this?"
    python -m cookbook_utils.batch requests.jsonl replies.jsonl --model dashscope:qwen3-vl-plus --set max_new_tokens=200

Every input has exactly one line in the output, with its reply or with what went wrong. The same command again asks only
for what has no reply yet, so that an interrupted run goes on and failed requests get another try.

    requests.py    what the inputs are, and how each is known again
    results.py     the output file
    cluster.py     Ray Data's HTTP processor around a model behind a server

For one machine `model.chat_batch` does the same without Ray. `ray` is imported when a batch runs; it uses the cluster in
RAY_ADDRESS where that is set, else it starts one on this machine. On a cluster every node needs this package, the
pictures under the same path (or as URLs), and the server's key in its environment.
"""

from .cluster import run_batch
from .requests import read_requests
from .results import Summary

__all__ = ["Summary", "read_requests", "run_batch"]
