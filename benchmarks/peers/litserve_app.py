"""The pipeline in LitServe, batched as in its documentation: `python -m benchmarks.peers.litserve_app NAMES PORT`."""

import sys

import litserve  # type: ignore[import-untyped]
from fastapi import Response

from benchmarks.peers.pipeline import Answer, Pipeline, Question, onnx_runtime
from concord.server.embedded import HOST

LARGEST_BATCH = 8
BATCH_SECONDS = 0.01


class Harmonizer(litserve.LitAPI):  # type: ignore[misc]
    """One worker with both networks, which the command line names."""

    def setup(self, device: str) -> None:
        self._pipeline = Pipeline(onnx_runtime, sys.argv[1:-1])

    def decode_request(self, request) -> Question:  # type: ignore[no-untyped-def] # with a type, it would be parsed as JSON
        return self._pipeline.read(request["image"].file.read(), request["text"].encode())

    def batch(self, inputs: list[Question]) -> list[Question]:
        return inputs

    def predict(self, x: list[Question]) -> list[Answer]:
        return self._pipeline.answer(x)

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        return output

    def encode_response(self, output: Answer) -> Response:
        return Response(self._pipeline.draw(output), media_type="image/png")


if __name__ == "__main__":
    api = Harmonizer(max_batch_size=LARGEST_BATCH, batch_timeout=BATCH_SECONDS, api_path="/harmonize")
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host=HOST, port=int(sys.argv[-1]), log_level="warning", generate_client_file=False)
