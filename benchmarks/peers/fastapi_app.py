"""The pipeline in plain FastAPI, as in its documentation: `python -m benchmarks.peers.fastapi_app NETWORKS PORT`."""

import sys
from collections.abc import Sequence
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Form, Response, UploadFile

from benchmarks.peers.pipeline import Pipeline, onnx_runtime
from concord.server.embedded import HOST


def create_app(networks: Sequence[str]) -> FastAPI:
    """FastAPI runs each request in a thread."""
    app = FastAPI()
    pipeline = Pipeline(onnx_runtime, networks)

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.post("/harmonize")
    def harmonize(image: UploadFile, text: Annotated[str, Form()]) -> Response:
        return Response(pipeline(image.file.read(), text.encode()), media_type="image/png")

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(sys.argv[1:-1]), host=HOST, port=int(sys.argv[-1]), log_level="warning")
