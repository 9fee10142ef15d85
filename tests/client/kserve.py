"""Small real servers that speak KServe over gRPC and HTTP, and answer or refuse as a test says."""

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf.json_format import ParseDict
from tritonclient.grpc import service_pb2, service_pb2_grpc

HTTP_STATUS = {"UNAVAILABLE": 503, "INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "INTERNAL": 500}
FORMATS = {"FP32": "<f", "BOOL": "<?", "INT32": "<i", "INT64": "<q"}
TYPES = {
    **{"SCORE": "FP32", "TRUNCATED": "BOOL", "SEED": "INT64"},
    **dict.fromkeys(("STEP", "TOTAL", "BOX"), "INT32"),
}
LIMIT = 20.0
"""Seconds after which a server stops waiting for something that a broken client will never do."""


def tensor(name, datatype="TYPE_STRING", **more):
    """An input or output of a configuration."""
    return {"name": name, "data_type": datatype, "dims": ["1"], **more}


def config(name, *inputs, decoupled=False, outputs=("HARMONIZED",), **parameters):
    """A configuration in Triton's JSON form; ``setting__STEPS="5; 1..50"`` declares a parameter ``setting.STEPS``."""
    return {
        "name": name,
        "input": [tensor(each) if isinstance(each, str) else each for each in inputs],
        "output": [tensor(each) if isinstance(each, str) else each for each in outputs],
        "parameters": {key.replace("__", "."): {"string_value": value} for key, value in parameters.items()},
        "model_transaction_policy": {"decoupled": decoupled},
    }


def diffusion(name, *, decoupled):
    """A model that works in steps, or the same for protocols without streams."""
    settings = {
        "SEED": ("TYPE_INT64", "; 0..9223372036854775807; of the noise"),
        "STEPS": ("TYPE_INT32", "5; 1..50; steps of denoising"),
        "SAMPLER": ("TYPE_STRING", "euler_ancestral; euler_ancestral|dpmpp_2m|ddim; how the noise is taken away"),
        "RESOLUTION": ("TYPE_INT32", "256; 256|512|768; side of what is denoised"),
        "PREVIEW": ("TYPE_BOOL", "false; false|true; a small picture with every step"),
        "DECODER": ("TYPE_STRING", "plain; plain|harmony; harmony sees the photograph"),
        "REFINE": ("TYPE_BOOL", "false; false|true; whether the refinement network follows"),
    }
    return config(
        name,
        "IMAGE",
        *(tensor(each, optional=True) for each in ("MASK", "TEXT")),
        *(tensor(each, datatype, optional=True) for each, (datatype, _) in settings.items()),
        tensor("TIMEOUT", "TYPE_FP32", optional=True),
        decoupled=decoupled,
        outputs=("STEP", "TOTAL", "PREVIEW", "HARMONIZED", "SEED", "MASK", "SCORE", "TRUNCATED"),
        task="harmonize",
        model="diffharmony",
        about="a diffusion model, step by step",
        rank="30",
        deadline_seconds="600",
        **{f"setting__{each}": words for each, (_, words) in settings.items()},
    )


def configs():
    """What a server of Concord declares."""
    found = ("MASK", "SCORE", "TRUNCATED")
    cris = {"task": "segment", "model": "cris", "about": "finds what a text names"}
    fast = {"task": "harmonize", "model": "ht", "about": "a transformer that answers in one pass", "rank": "10"}
    return [
        config("decode", "IMAGE", outputs=["PIXELS"]),
        config("segment", "IMAGE", "TEXT", outputs=found, **cris),
        config("harmonize_ht", "IMAGE", "MASK", **fast),
        config("segment_harmonize_ht", "IMAGE", "TEXT", outputs=("HARMONIZED", *found), **fast),
        diffusion("diffharmony", decoupled=True),
        diffusion("diffharmony_once", decoupled=False),
    ]


@dataclass
class KServe:
    """What a server does with its next inferences, and what it has seen.

    ``configs`` are those of the models that it has. ``looks`` counts how often it was asked which those are,
    and ``looked`` are those that it was asked for.

    ``headers`` are those of the last inference, their names in lower case.

    ``script`` holds (status, message) refusals, or "hang": wait for the client to go away. Past its end the server
    answers every output with its fixed bytes. Refusals say ``retry_after``, if it is not empty. ``ready_after``
    readiness probes are answered with no.

    A stream goes as ``stream`` says: the number of a step that is done, ("error", message), a (status, message) that
    ends the stream, "hang", "exit" (the process dies), "picture", "final" (the empty last response), or
    "picture and final".
    """

    configs: list[dict[str, object]] = field(default_factory=configs)
    looks: int = 0
    looked: list[str] = field(default_factory=list)
    script: list[tuple[str, str] | str] = field(default_factory=list)
    answers: dict[str, bytes] = field(
        default_factory=lambda: {
            "HARMONIZED": b"\x89PNG harmonized\x00",
            "MASK": b"\x89PNG mask\x00",
            "SCORE": struct.pack("<f", 0.75),
            "TRUNCATED": b"\x00",
            "SEED": struct.pack("<q", 2**62 + 1),
        }
    )
    total: int = 2
    stream: list[object] = field(default_factory=lambda: [0, 1, 2, "picture and final"])
    refused_images: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    retry_after: str = ""
    ready_after: int = 0
    url: str = ""
    received: list[tuple[str, dict[str, object], list[str]]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    entered: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)

    def next(self, model: str, inputs: dict[str, object], outputs: list[str]) -> tuple[str, str] | str | None:
        self.received.append((model, inputs, outputs))
        step = self.script.pop(0) if self.script else self.refused_images.get(inputs.get("IMAGE"))
        self.entered.set()
        return step

    def models(self) -> list[dict[str, str]]:
        self.looks += 1
        return [{"name": config["name"], "version": "1"} for config in self.configs]

    def config(self, model: str) -> dict[str, object] | None:
        self.looked.append(model)
        return next((config for config in self.configs if config["name"] == model), None)

    def ready(self) -> bool:
        self.ready_after -= 1
        return self.ready_after < 0

    def tensor(self, name: str, value: bytes) -> tuple[str, list[int], bytes]:
        datatype = TYPES.get(name, "BYTES")
        if datatype == "BYTES":
            return datatype, [1, 1], struct.pack("<I", len(value)) + value
        return datatype, [1, len(value) // struct.calcsize(FORMATS[datatype])], value


def unpack(datatype: str, raw: bytes) -> object:
    if datatype in FORMATS:
        (number,) = struct.unpack(FORMATS[datatype], raw)
        return number
    assert datatype == "BYTES"
    (size,) = struct.unpack_from("<I", raw)
    assert len(raw) == 4 + size
    return raw[4:]


class GrpcService(service_pb2_grpc.GRPCInferenceServiceServicer):
    def __init__(self, kserve: KServe) -> None:
        self.kserve = kserve

    def ServerReady(self, request, context):  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=self.kserve.ready())

    def ModelStatistics(self, request, context):  # noqa: N802
        return service_pb2.ModelStatisticsResponse(model_stats=self.kserve.models())

    def ModelConfig(self, request, context):  # noqa: N802
        config = self.kserve.config(request.name)
        if config is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        return ParseDict({"config": config}, service_pb2.ModelConfigResponse())

    def ModelMetadata(self, request, context):  # noqa: N802
        metadata = service_pb2.ModelMetadataResponse(name=request.name, versions=["1"])
        metadata.inputs.add(name="IMAGE", datatype="BYTES", shape=[-1, 1])
        metadata.outputs.add(name="SCORE", datatype="FP32", shape=[-1, 1])
        return metadata

    def ModelInfer(self, request, context):  # noqa: N802
        self.enter(request, context)
        return self.response(request, self.kserve.answers)

    def ModelStreamInfer(self, requests, context):  # noqa: N802
        # A client may go while a response is on its way; then "hang" is never reached.
        context.add_callback(self.kserve.left.set)
        for request in requests:
            assert request.parameters["triton_enable_empty_final_response"].bool_param
            self.enter(request, context)
            for event in self.kserve.stream:
                yield service_pb2.ModelStreamInferResponse(**self.streamed(event, request, context))

    def enter(self, request, context):
        self.kserve.headers = dict(context.invocation_metadata())
        assert all(list(tensor.shape) == [1, 1] for tensor in request.inputs)
        values = {
            tensor.name: unpack(tensor.datatype, raw)
            for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        step = self.kserve.next(request.model_name, values, [tensor.name for tensor in request.outputs])
        if step is not None:
            self.stop(step, context)

    def stop(self, step, context):
        match step:
            case "hang":
                context.add_callback(self.kserve.left.set)
                self.kserve.left.wait(LIMIT)
            case (status, message):
                if self.kserve.retry_after:
                    context.set_trailing_metadata([("retry-after", self.kserve.retry_after)])
                context.abort(grpc.StatusCode[status], message)

    def response(self, request, answers):
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version="1")
        for name in (tensor.name for tensor in request.outputs if answers.get(tensor.name)):
            datatype, shape, raw = self.kserve.tensor(name, answers[name])
            response.outputs.add(name=name, datatype=datatype, shape=shape)
            response.raw_output_contents.append(raw)
        return response

    def streamed(self, event, request, context):
        total = struct.pack("<i", self.kserve.total)
        last = self.kserve.answers | {"STEP": total, "TOTAL": total}
        match event:
            case int(step):
                answers = {"STEP": struct.pack("<i", step), "TOTAL": total, "PREVIEW": b"jpeg %d" % step}
                return {"infer_response": self.response(request, answers)}
            case "picture":
                return {"infer_response": self.response(request, last)}
            case "final" | "picture and final":
                response = self.response(request, last if event.startswith("picture") else {})
                response.parameters["triton_final_response"].bool_param = True
                return {"infer_response": response}
            case ("error", message):
                return {"error_message": message}
            case "exit":
                time.sleep(0.2)  # what was answered before is on its way
                os._exit(1)
        self.stop(event, context)
        return {}


class HttpHandler(BaseHTTPRequestHandler):
    kserve: KServe
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v2/health/ready":
            self.reply(200 if self.kserve.ready() else 400, b"")
        elif self.path.endswith("/models/stats"):
            self.reply(200, json.dumps({"model_stats": self.kserve.models()}).encode())
        elif self.path.endswith("/config"):
            config = self.kserve.config(self.path.split("/")[3])
            refusal = {"error": "Request for unknown model: 'it' is not found"}
            self.reply(404 if config is None else 200, json.dumps(config or refusal).encode())
        else:
            tensors = {
                "inputs": [{"name": "IMAGE", "datatype": "BYTES", "shape": [-1, 1]}],
                "outputs": [{"name": "SCORE", "datatype": "FP32", "shape": [-1, 1]}],
            }
            self.reply(200, json.dumps({"name": "segment", "versions": ["1"], **tensors}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.kserve.headers = {name.lower(): value for name, value in self.headers.items()}
        split = int(self.headers["Inference-Header-Content-Length"])
        request, binary = json.loads(body[:split]), body[split:]
        values = {}
        for tensor in request["inputs"]:
            assert tensor["shape"] == [1, 1]
            size = tensor["parameters"]["binary_data_size"]
            values[tensor["name"]], binary = unpack(tensor["datatype"], binary[:size]), binary[size:]
        outputs = [tensor["name"] for tensor in request["outputs"]]
        match self.kserve.next(self.path.split("/")[3], values, outputs):
            case "hang":
                self.connection.settimeout(LIMIT)
                if self.connection.recv(1, socket.MSG_PEEK) == b"":
                    self.kserve.left.set()
                self.close_connection = True
                return
            case (status, message):
                said = {"Retry_After": self.kserve.retry_after} if self.kserve.retry_after else {}
                self.reply(HTTP_STATUS[status], json.dumps({"error": message}).encode(), **said)
                return
        answer, raw = [], b""
        for name in filter(self.kserve.answers.get, outputs):
            datatype, shape, value = self.kserve.tensor(name, self.kserve.answers[name])
            size = {"binary_data_size": len(value)}
            answer.append({"name": name, "datatype": datatype, "shape": shape, "parameters": size})
            raw += value
        header = json.dumps({"model_name": "segment", "outputs": answer}).encode()
        self.reply(200, header + raw, Inference_Header_Content_Length=str(len(header)))


def serve_grpc(kserve: KServe, url: str = "localhost:0") -> Iterator[KServe]:
    with ThreadPoolExecutor(8) as threads:
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(GrpcService(kserve), server)
        kserve.url = f"localhost:{server.add_insecure_port(url)}"
        server.start()
        yield kserve
        server.stop(grace=None).wait()


def serve_http(kserve: KServe) -> Iterator[KServe]:
    handler = type("Handler", (HttpHandler,), {"kserve": kserve})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        kserve.url = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield kserve
        server.shutdown()
        thread.join()
