"""What a user would run instead does the same work: the same picture, one by one and many at once."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks.load.application import Application
from benchmarks.load.comparison import FASTER, FEWEST_PAIRS, SLOWER
from benchmarks.load.generator import Reply, generator
from benchmarks.page import instead_of_concord
from benchmarks.parts.peers import (
    FACADE,
    FASTAPI,
    FP32,
    GRPC,
    HARMONIZE,
    LITSERVE,
    ONNX_RUNTIME,
    Ask,
    Block,
    Numbers,
    compare,
    elsewhere,
    from_outside,
    in_process,
    instead,
    over,
    question,
    section,
)
from benchmarks.peers.pipeline import Network, Pipeline, onnx_runtime, openvino
from benchmarks.subjects import text_guided_networks
from concord.scenes.encoded import scene, scene_jpeg
from concord.server.embedded import HOST, EmbeddedServer
from concord_client import Client

IMAGE, TEXT = scene_jpeg(240, 320), scene().expression
NETWORKS = text_guided_networks()
ROUNDING = 1  # grey levels: networks in other sessions sum in another order


@pytest.fixture(scope="module")
def apps() -> Iterator[dict[str, Application]]:
    with elsewhere(LITSERVE, NETWORKS) as litserve, elsewhere(FASTAPI, NETWORKS) as fastapi:
        yield {LITSERVE: litserve, FASTAPI: fastapi}


@pytest.fixture(scope="module")
def ours(server: EmbeddedServer) -> NDArray[np.int16]:
    with Client(server.grpc_url) as client:
        return pixels(client.harmonize(IMAGE, text=TEXT).image)


def pixels(png: bytes) -> NDArray[np.int16]:
    return np.asarray(Image.open(BytesIO(png))).astype(np.int16)


def ask(running: Application) -> bytes:
    url = f"http://{HOST}:{running.port}/harmonize"
    answer = httpx.post(url, files={"image": IMAGE}, data={"text": TEXT}, timeout=30)
    assert answer.headers["Content-Type"] == "image/png"
    return answer.raise_for_status().content


@pytest.mark.parametrize("name", [LITSERVE, FASTAPI])
def test_another_server_answers_with_the_same_picture(
    name: str, apps: dict[str, Application], ours: NDArray[np.int16]
) -> None:
    with ThreadPoolExecutor(3) as threads:
        for png in threads.map(lambda _: ask(apps[name]), range(3)):
            assert np.abs(pixels(png) - ours).max() <= ROUNDING


@pytest.mark.parametrize("network", [onnx_runtime, openvino])
def test_the_same_picture_comes_without_a_server(network: Callable[[Path], Network], ours: NDArray[np.int16]) -> None:
    assert np.abs(pixels(Pipeline(network, NETWORKS)(IMAGE, TEXT.encode())) - ours).max() <= ROUNDING


def test_each_server_is_asked_in_its_own_way(server: EmbeddedServer, apps: dict[str, Application]) -> None:
    form = {"image": IMAGE, "text": TEXT.encode()}
    with generator() as asking:
        for destination in (question(server.grpc_url, **form), *(each.form(HARMONIZE, form) for each in apps.values())):
            assert all(reply.good for reply in from_outside(asking, destination)(1, 0.01))
    assert all(reply.good for reply in in_process(Pipeline(onnx_runtime, NETWORKS), **form)(1, 0.01))


def test_a_comparison_is_a_table_with_ours_over_each() -> None:
    def every(milliseconds: float) -> Ask:
        return lambda clients, seconds: [
            Reply(200, milliseconds / 1000, due)
            for due in np.arange(0, seconds, milliseconds / 1000)
            for _ in range(clients)
        ]

    served = {GRPC: every(10), FACADE: every(5), FP32: every(10), LITSERVE: every(20), FASTAPI: every(40)}
    part = compare(served, {ONNX_RUNTIME: every(5)}, (1, 8), FEWEST_PAIRS, seconds=1)
    numbers = Numbers(
        **vars(part), request="a request", memory_mib={GRPC: 100.0, FACADE: 150.0, LITSERVE: 600.0, FASTAPI: 300.0}
    )
    written = section(numbers) + instead_of_concord(list(instead(numbers)))
    assert "| Concord, gRPC | 800 | 10.0 | 10.0 | 200 x 4800 | 100 |" in written
    assert "| LitServe | demo weights in FP32, 8 clients, requests/s | 400 | 800 | 2.00 (2.00 to 2.00) |" in written
    assert "| LitServe | demo weights, 8 clients, requests/s | 400 | 1600 | 4.00 (4.00 to 4.00) |" in written
    assert "| FastAPI | demo weights in FP32, 1 client, p99 ms | 40.0 | 10.0 | 4.00 (4.00 to 4.00) |" in written
    assert "| LitServe | demo weights, memory, MiB | 600 | 150 | 4.00 |" in written
    assert "| ONNX Runtime, in process | demo weights, the whole pipeline, p50 ms | 5.00 | 10.0 | 0.50 |" in written


def test_a_ratio_is_larger_than_one_where_ours_is_faster() -> None:
    ours = [Block(rate, p50=10.0, p90=30.0, p99=40.0) for rate in (4.0, 6.0, 5.0, 4.0, 6.0, 5.0)]
    theirs = [Block(each.requests_per_second / 2, p50=20.0, p90=20.0, p99=20.0) for each in ours]
    ratios = over(ours, theirs)
    assert [ratios[key].ratio for key in ("requests_per_second", "p50", "p99")] == pytest.approx([2, 2, 0.5])
    assert [ratios[key].verdict for key in ("requests_per_second", "p99")] == [FASTER, SLOWER]
