"""Requests of KServe v2, written without a client of theirs."""

import base64
import json
import struct
from typing import Any

import httpx

from tests.facade.sending import problem

HEADER = "Inference-Header-Content-Length"
TEXT = "the red square"


def in_json(name: str, value: Any, datatype: str = "BYTES", **more: Any) -> dict[str, Any]:
    """An input whose value stands in the JSON; bytes are in base64."""
    data = [base64.b64encode(value).decode() if isinstance(value, bytes) else value]
    return {"name": name, "datatype": datatype, "shape": [1, 1], "data": data} | more


def as_bytes(name: str, value: bytes, datatype: str = "BYTES") -> tuple[dict[str, Any], bytes]:
    """An input whose value follows the JSON, and what follows."""
    raw = struct.pack("<I", len(value)) + value if datatype == "BYTES" else value
    told = {"name": name, "datatype": datatype, "shape": [1, 1], "parameters": {"binary_data_size": len(raw)}}
    return told, raw


def body_of(*inputs: dict[str, Any] | tuple[dict[str, Any], bytes], **more: Any) -> tuple[bytes, int]:
    """A request's body, and how much of it is JSON."""
    parts = [each if isinstance(each, tuple) else (each, b"") for each in inputs]
    told = json.dumps({"inputs": [each for each, _ in parts]} | more).encode()
    return told + b"".join(raw for _, raw in parts), len(told)


def ask(http: httpx.Client, pipeline: str, *inputs: Any, headers: Any = None, **more: Any) -> httpx.Response:
    """Asks a pipeline; further words are members of the JSON."""
    content, length = body_of(*inputs, **more)
    given = {HEADER: str(length)} if length < len(content) else {}
    return http.post(f"/v2/models/{pipeline}/infer", content=content, headers=given | (headers or {}))


def outputs(answer: httpx.Response) -> dict[str, Any]:
    """The values of an answer by name: what follows the JSON as bytes, everything else as it stands there."""
    assert answer.status_code == 200, answer.text
    length = int(answer.headers.get(HEADER, len(answer.content)))
    told, found = json.loads(answer.content[:length]), {}
    for each in told["outputs"]:
        size = each.get("parameters", {}).get("binary_data_size")
        if size is None:
            assert each["shape"] == [1, len(each["data"])]
            [found[each["name"]]] = each["data"]
        else:
            found[each["name"]] = answer.content[length : length + size]
            length += size
    assert HEADER not in answer.headers or length == len(answer.content)
    return found


def picture(raw: bytes) -> bytes:
    """The one value of a tensor of bytes."""
    assert struct.unpack_from("<I", raw) == (len(raw) - 4,)
    return raw[4:]


def refusal(answer: httpx.Response) -> tuple[int, str, str | None, str | None]:
    """As `problem`, in KServe's shape."""
    assert answer.headers["content-type"] == "application/json", answer.text
    told = answer.json()
    assert told["error"].startswith(f"[{told['type'].rpartition(':')[2]}] ") and told["detail"] in told["error"]
    answer.headers["content-type"] = "application/problem+json"
    return problem(answer)
