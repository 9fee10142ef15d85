"""Who asks: the job a request is, who it belongs to, the trace it is part of, and whether the client is still there."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from facade.access.caller import Caller
from facade.problems import Problem, request_id
from facade.work.jobs import is_job_id

JOB_ID = "X-Job-Id"
_TURNS = 5
"""Turns of the event loop in which it reads the end of a connection, and tells the request of it."""


def caller_of(request: Request) -> Caller:
    """Who makes a request: its job is the caller's ``X-Job-Id``, or else the request's own id where it can be one."""
    state, app = request.scope.get("state", {}), request.app.state
    job = request.headers.get(JOB_ID)
    if job is None:
        given = request_id(request.scope)
        # Proxies give one id to several requests; only an id that was given on purpose has to be free.
        job = given if given and is_job_id(given) and app.service.jobs.claim(given) else uuid.uuid4().hex
    trace, owner = state.get("trace"), state.get("key", "")
    return Caller(job, owner, {} if trace is None else trace.headers, app.keys.allowance(owner))


def address_of(request: Request) -> str:
    """Where a request is from; empty if that is not known."""
    return request.client.host if request.client else ""


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Cancels what the block awaits as soon as the client goes away; the request's body has been read.

    The block is not begun for a client that has already left.

    Raises:
        Problem: in the block's place, since nobody is there to be answered.
    """
    task = asyncio.current_task()
    assert task is not None
    before, left = task.cancelling(), False

    async def watch() -> None:
        nonlocal left
        while (await request.receive())["type"] != "http.disconnect":
            pass
        left = True
        task.cancel()

    watching = asyncio.create_task(watch())
    try:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        yield
    except asyncio.CancelledError:
        if left and task.uncancel() <= before:
            raise Problem("cancelled", "the client went away") from None
        raise
    finally:
        watching.cancel()
