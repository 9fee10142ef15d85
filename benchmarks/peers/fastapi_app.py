"""The pipeline in plain FastAPI, as in its documentation: `python -m benchmarks.peers.fastapi_app PORT`."""

import sys
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Form, Response, UploadFile

from benchmarks.peers.pipeline import Pipeline, onnx_runtime
from concord.server.embedded import HOST


def create_app() -> FastAPI:
    """The application; FastAPI runs each request in a thread."""
    app = FastAPI()
    pipeline = Pipeline(onnx_runtime)

    @app.get("/health")
    def health() -> str:
        return "ok"

    @app.post("/harmonize")
    def harmonize(image: UploadFile, text: Annotated[str, Form()]) -> Response:
        return Response(pipeline(image.file.read(), text.encode()), media_type="image/png")

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(), host=HOST, port=int(sys.argv[1]), log_level="warning")
