import asyncio
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from concord_client import AsyncClient, Client, Retry
from concord_client.command import main
from tests.client.kserve import KServe, serve_grpc, serve_http
from tests.commands import Finished, run

QUICK = Retry(attempts=3, first_delay=0.001)


@pytest.fixture(params=["grpc", "http"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def kserve(protocol: str) -> Iterator[KServe]:
    """A server of the protocol under test."""
    yield from (serve_grpc if protocol == "grpc" else serve_http)(KServe())


@pytest.fixture
def other_kserve(protocol: str) -> Iterator[KServe]:
    """A server of the other protocol."""
    yield from (serve_http if protocol == "grpc" else serve_grpc)(KServe())


@pytest.fixture
def grpc_kserve() -> Iterator[KServe]:
    """A server for what does not depend on the protocol."""
    yield from serve_grpc(KServe())


@pytest.fixture(params=[Client, AsyncClient])
def ask(request, protocol):
    """Makes one call of one of the clients over one of the protocols: ``ask(url, "segment", image, text)``."""

    def ask(url, method, *arguments, retry=QUICK, **options):
        async def ask_async():
            async with AsyncClient(url, protocol=protocol, retry=retry) as client:
                return await getattr(client, method)(*arguments, **options)

        if request.param is AsyncClient:
            return asyncio.run(ask_async())
        with Client(url, protocol=protocol, retry=retry) as client:
            return getattr(client, method)(*arguments, **options)

    return ask


@pytest.fixture
def diffuse(ask):
    """Asks a diffusion of one of the clients over one of the protocols: ``diffuse(kserve, on_step=...)``."""

    def diffuse(kserve, **options):
        return ask(
            kserve.url, "harmonize", b"\xff\xd8 a photograph", model="diffharmony", **{"mask": b"mask"} | options
        )

    return diffuse


@pytest.fixture
def concord(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Runs the command: ``concord("models", "--url", ...)``."""
    monkeypatch.delenv("CONCORD_URL", raising=False)
    return partial(run, main)
