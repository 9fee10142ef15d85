"""The head of a request is bounded in time and size, and an open page does not keep the facade from stopping."""

import asyncio
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from concord.errors import ServerFailure
from facade.settings import Settings
from facade.wire.server import MAX_HEAD_BYTES, HttpServer, listener
from tests.facade.running import PATIENCE

PATIENCE_OF_SERVER = 0.2
MUCH = 64 * 2**20  # bytes, more than the kernel keeps of a connection


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def endless(_request: Request) -> StreamingResponse:
    async def beats():

        while True:
            yield b"beat"
            await asyncio.sleep(0.01)

    return StreamingResponse(beats())


async def slow(_request: Request) -> StreamingResponse:
    async def words():
        yield b"he"
        await asyncio.sleep(5 * PATIENCE_OF_SERVER)
        yield b"llo"

    return StreamingResponse(words(), headers={"Content-Length": "5"})


async def reading(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} bytes")


async def much(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("x" * MUCH)


@contextmanager
def served(**settings: object) -> Iterator[tuple[HttpServer, socket.socket, threading.Thread]]:
    """A small application, and a connection to it."""
    routes = [
        Route("/", hello),
        Route("/slow", slow),
        Route("/read", reading, methods=["POST"]),
        Route("/much", much),
        Route("/page/heartbeat/me", endless),
    ]
    app = Starlette(routes=routes)
    listening = listener("127.0.0.1", 0)
    server = HttpServer(app, Settings(**settings))
    thread = threading.Thread(target=server.run, args=[[listening]])
    thread.start()
    try:
        with socket.create_connection(listening.getsockname(), timeout=PATIENCE) as connection:
            yield server, connection, thread
    finally:
        server.stop(at_once=True)
        thread.join(PATIENCE)
    assert not thread.is_alive()


def received(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    return b"".join(iter(lambda: connection.recv(2**16), b""))


def greeted(connection: socket.socket) -> bool:
    """Whether the answer of `hello` arrives; its head and its body may come apart."""
    answer = b""
    while not answer.endswith(b"hello") and (part := connection.recv(2**16)):
        answer += part
    return answer.endswith(b"hello")


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_a_head_that_does_not_end_is_given_up(sent):
    with served(read_timeout=0.2) as (_, connection, _):
        connection.sendall(sent)
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"urn:concord:problem:request_timeout" in answer


def test_a_second_head_on_a_connection_is_bounded_too():
    with served(read_timeout=0.2) as (_, connection, _):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert greeted(connection)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        assert received(connection).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("stray", [b"\r\n", b"GET / HTTP/1.1\r\n"], ids=["an empty line", "half a head"])
def test_what_comes_before_the_answer_does_not_end_it(stray):
    with served(read_timeout=PATIENCE_OF_SERVER) as (_, connection, _):
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        received_before = connection.recv(2**16)
        connection.sendall(stray)
        while not received_before.endswith(b"hello"):
            part = connection.recv(2**16)
            assert part, received_before
            received_before += part


def test_a_body_that_stops_is_given_up_whoever_reads_it():
    with served(read_timeout=PATIENCE_OF_SERVER) as (_, connection, _):
        connection.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc")
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ") and b"urn:concord:problem:request_timeout" in answer


def test_a_body_that_goes_on_after_its_answer_is_given_up():
    with served(read_timeout=PATIENCE_OF_SERVER) as (_, connection, _):
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert connection.recv(2**16).startswith(b"HTTP/1.1 405 ")
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(ConnectionError):
            while time.monotonic() < deadline:
                connection.sendall(b"1\r\nx\r\n")
                time.sleep(PATIENCE_OF_SERVER / 20)


def test_a_large_body_that_keeps_coming_is_read():
    with served(read_timeout=PATIENCE_OF_SERVER) as (_, connection, _):
        size, piece = 16 * 2**20, bytes(2**18)
        connection.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
        for _ in range(size // len(piece)):
            connection.sendall(piece)
            time.sleep(PATIENCE_OF_SERVER / 10)
        assert received(connection).endswith(b"%d bytes" % size)


def test_a_head_without_end_is_refused():
    with served() as (_, connection, _):
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * MAX_HEAD_BYTES)
        assert received(connection).startswith(b"HTTP/1.1 431 ")


def test_an_answer_that_is_not_read_is_given_up():
    with served(read_timeout=0.2) as (_, connection, _):
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        # Nothing is asked for, so that it wakes when the connection is reset.
        watched = select.poll()
        watched.register(connection, 0)
        assert watched.poll(1000 * PATIENCE)
        with pytest.raises(ConnectionResetError):
            received(connection)


def test_an_answer_that_is_read_slowly_arrives_whole():
    with served(read_timeout=0.2) as (_, connection, _):
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        arrived = 0
        while part := connection.recv(MUCH // 20):
            arrived += len(part)
            time.sleep(0.02)
    assert arrived > MUCH


def test_an_answer_that_is_read_too_slowly_is_given_up():
    with served(read_timeout=PATIENCE_OF_SERVER, least_read_rate=2**28) as (_, connection, _):
        connection.sendall(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(ConnectionResetError):
            while time.monotonic() < deadline:
                assert connection.recv(2**16)
                time.sleep(PATIENCE_OF_SERVER / 20)


def test_the_time_in_which_there_is_nothing_to_read_does_not_count():
    with served(read_timeout=PATIENCE_OF_SERVER, least_read_rate=2**28) as (_, connection, _):
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert received(connection).endswith(b"hello")


def test_an_open_page_does_not_keep_it_from_stopping():
    with served(drain_seconds=3600.0) as (server, connection, thread):
        connection.sendall(b"GET /page/heartbeat/me HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(2**16)
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_an_idle_connection_does_not_keep_it_from_stopping():
    with served(drain_seconds=3600.0) as (server, connection, thread):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert greeted(connection)
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_what_lies_unread_at_the_stop_is_answered():
    with served() as (server, first, thread), ExitStack() as opened:
        first.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert greeted(first)
        connect = partial(socket.create_connection, first.getpeername(), timeout=PATIENCE)
        others = [opened.enter_context(connect()) for _ in range(50)]
        for other in others:
            other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.stop()
        assert all(received(other).endswith(b"hello") for other in others)
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("host", "words"), [("no.such.host.invalid", "is no address"), ("192.0.2.1", "port: 0 on 192.0.2.1")]
)
def test_an_address_that_cannot_be_is_said_in_plain_words(host, words):
    with pytest.raises(ServerFailure, match=words):
        listener(host, 0)
