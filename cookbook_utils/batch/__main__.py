"""The batch as a program; `python -m cookbook_utils.batch --help`. Its exit code is 1 when requests failed, 2 for a wrong call."""

import argparse
import json
import sys

from ..models import ModelError
from . import run_batch


def setting(text: str) -> tuple[str, object]:
    """A setting as it stands in the command: NAME=VALUE, the value as JSON, or as it is when it is none.

    >>> setting("max_new_tokens=200"), setting("stop=END")
    (('max_new_tokens', 200), ('stop', 'END'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(arguments: list[str] | None = None) -> int:
    """Run a batch and print how it went."""
    parser = argparse.ArgumentParser(prog="python -m cookbook_utils.batch", description="Ask a model about many inputs, on a Ray cluster.")
    parser.add_argument("source", help="a folder of pictures, or a JSONL file of requests")
    parser.add_argument("output", help="the JSONL file of replies; one that is there is gone on with")
    parser.add_argument("--model", help="a model behind a server, such as vllm:http://localhost:8000, or weights for the cluster's GPUs, "
                        "such as transformers:Qwen/Qwen3-VL-8B-Instruct; default: COOKBOOK_MODEL")  # fmt: skip
    parser.add_argument("--prompt", help="the question about each picture of a folder")
    parser.add_argument("--system", help="the system text")
    parser.add_argument("--actors", type=int, default=1, help="processes that ask a server, or engines at most, each on a GPU; default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=16, help="requests that each is given at a time; default: %(default)s")
    parser.add_argument("--engine", action="append", type=setting, default=[], metavar="NAME=VALUE",
                        help="with weights, an engine argument of vLLM, such as max_model_len=32768; may be repeated")  # fmt: skip
    parser.add_argument("--set", action="append", type=setting, default=[], metavar="NAME=VALUE", help="a generation setting; may be repeated")
    chosen = vars(parser.parse_args(arguments))
    settings, chosen["engine"] = dict(chosen.pop("set")), dict(chosen["engine"])
    try:
        summary = run_batch(**chosen, **settings)
    except (OSError, ValueError, TypeError, ModelError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(f"{chosen['output']}: {summary}")
    return 1 if summary.failed else 0


if __name__ == "__main__":
    sys.exit(main())
