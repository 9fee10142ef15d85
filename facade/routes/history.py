"""``/v1/history``: the results that an account has asked to keep."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, ExitStack
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from facade.batches.archive import ZipStream
from facade.history.histories import Histories
from facade.history.result import AFTER_SMALL, BEFORE_SMALL, Told
from facade.history.tables import Kept
from facade.openapi import responses
from facade.problems import Problem
from facade.wire.caller import caller_of, while_connected
from facade.wire.events import OwnedStream
from facade.wire.pieces import in_turns
from facade.wire.replies import reply_of
from facade.work.pictures import MEDIA_TYPES, SUFFIXES, shown_format

router = APIRouter(prefix="/v1/history", tags=["history"])
MOST = 100
ZIP = "application/zip"
LIST = "results.json"
_SMALL = (BEFORE_SMALL, AFTER_SMALL)
_REFUSALS = ("unauthorized", "forbidden", "rate_limited", "unavailable", "internal")


class KeptResult(BaseModel):
    """A result that is kept."""

    id: str
    created: int = Field(description="Unix seconds")
    expires: int = Field(description="Unix seconds; then it is removed")
    task: str
    model: str
    seed: int | None = Field(description="with which the request has this answer again")
    words: str = Field(description="of the request")
    fields: dict[str, Any] = Field(description="of the request, its images apart")
    settings: dict[str, str] = Field(description="of the model, as they were written")
    answer: dict[str, Any] = Field(description="its fields, images apart")
    pictures: list[str] = Field(description="their names", examples=[["before", "mask", "after"]])
    bytes: int = Field(description="of its files")


class HistoryPage(BaseModel):
    """Some results of an account, the newest first."""

    data: list[KeptResult]
    next: str | None = Field(description="the `before` of the next page; null on the last")
    bytes: int = Field(description="of all results of the account")
    max_bytes: int = Field(description="that they may have; beyond it, the oldest are removed")
    days: int = Field(description="for which a result is kept")


class Removed(BaseModel):
    """How many results were removed."""

    removed: int


SCHEMAS = (KeptResult, HistoryPage, Removed)


@router.get("", summary="Results that are kept", responses=responses(*_REFUSALS, "not_found", "invalid_setting"))
async def results(request: Request, before: str | None = None, limit: int = Query(20, ge=1, le=MOST)) -> HistoryPage:
    """Of the account, the newest first; `before` is the id of a result, for those that are older."""
    histories, account = _own(request)
    history = histories.history
    rows = await history.page(account, before, limit + 1)
    return HistoryPage(
        data=[shown(each) for each in rows[:limit]],
        next=rows[limit - 1].token if len(rows) > limit else None,
        bytes=await history.taken(account),
        max_bytes=history.bounds.bytes,
        days=history.bounds.days,
    )


@router.delete("", summary="Remove all results", responses=responses(*_REFUSALS))
async def remove_all(request: Request) -> Removed:
    """Of the account, with their files."""
    histories, account = _own(request)
    return Removed(removed=await histories.history.remove(account))


@router.get(
    "/archive",
    summary="Download all results",
    response_class=Response,
    responses={200: {"content": {ZIP: {}}}, **responses(*_REFUSALS)},
)
async def archive(request: Request) -> Response:
    """A zip file that grows while it is sent: a folder for each result, and `results.json`."""
    return archive_response(*_own(request))


@router.get("/{result}", summary="A result", responses=responses(*_REFUSALS, "not_found"))
async def one(request: Request, result: str) -> KeptResult:
    """What is kept of it besides its pictures."""
    histories, account = _own(request)
    return shown(await histories.history.one(account, result))


@router.delete(
    "/{result}",
    summary="Remove a result",
    status_code=204,
    response_class=Response,
    responses=responses(*_REFUSALS, "not_found"),
)
async def remove(request: Request, result: str) -> Response:
    """With its files."""
    histories, account = _own(request)
    await histories.history.remove(account, result)
    return Response(status_code=204)


@router.post(
    "/{result}/again",
    summary="Ask for a result again",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {}, "application/json": {}}},
        **responses(
            *_REFUSALS, "not_found", "unknown_model", "invalid_setting", "unexpected_field", "too_busy", "busy",
            "deadline_exceeded", "cancelled", "no_room",
        ),
    },
)  # fmt: skip
async def again(request: Request, result: str, model: str = "", seed: str = "", keep: bool = False) -> Response:
    """The same request with the same seed, or another `model` or `seed`; the answer is as that of its task."""
    odd = sorted(request.query_params.keys() - {"model", "seed", "keep"})
    if odd:
        problem = f"{odd[0][:40]!r} is no parameter"
        raise Problem("unexpected_field", problem, field="query", allowed="model, seed, keep")
    histories, account = _own(request)
    service, caller = request.app.state.service, caller_of(request)
    row = await histories.history.one(account, result)
    changes = {name: value for name, value in {"model": model, "seed": seed}.items() if value}
    async with while_connected(request):
        done = await histories.again(row, service, caller, changes)
        request.state.model, answer = done.model, done.finished.answer
        kept = await histories.keep(caller.owner, done.request, answer, done.model, done.settings) if keep else ""
        told = await reply_of(answer, service.encoder, "png", 1, done.model, caller, done.finished.seconds, kept=kept)
    return told.response(request.headers.get("accept", ""), ExitStack())


@router.get(
    "/{result}/{part}",
    summary="A picture of a result",
    response_class=Response,
    responses={200: {"content": {"image/*": {}}}, **responses(*_REFUSALS, "not_found")},
)
async def picture(request: Request, result: str, part: str) -> Response:
    """One of its `pictures`, as it was sent or made."""
    histories, account = _own(request)
    return picture_response(await histories.history.picture(await histories.history.one(account, result), part), part)


def shown(row: Kept) -> KeptResult:
    """A row as JSON."""
    told = Told.model_validate_json(row.told)
    return KeptResult(
        id=row.token,
        created=row.created,
        expires=row.expires,
        task=row.task,
        model=row.model,
        seed=row.seed,
        words=row.words,
        fields=told.fields,
        settings=told.settings,
        answer=told.values,
        pictures=[part for part in told.parts if part not in _SMALL],
        bytes=row.size,
    )


def archive_response(histories: Histories, account: int) -> Response:
    """The results of an account as a zip file."""
    headers = {"Content-Disposition": 'attachment; filename="results.zip"', "Cache-Control": "no-store"}
    stack = AsyncExitStack()
    content = _zipped(histories, account)
    stack.push_async_callback(content.aclose)
    return OwnedStream(content, stack, headers, ZIP)


def picture_response(content: bytes, part: str) -> Response:
    """A picture that a browser shows and nothing else: somebody has sent it."""
    shown_as = shown_format(content)
    headers = {
        "Cache-Control": "private, max-age=3600",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'",
        "Content-Disposition": f'inline; filename="{file_name(part, content)}"',
    }
    kind = MEDIA_TYPES[shown_as] if shown_as else "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


def file_name(part: str, content: bytes) -> str:
    """Of a picture, by what it is."""
    shown_as = shown_format(content)
    return f"{part}{SUFFIXES[shown_as] if shown_as else '.bin'}"


async def _zipped(histories: Histories, account: int) -> AsyncGenerator[bytes | memoryview]:
    stream, listed, before = ZipStream(), [], None
    while rows := await histories.history.page(account, before, MOST):
        for row in rows:
            result = shown(row)
            folder = f"{datetime.fromtimestamp(row.created, UTC):%Y-%m-%d %H.%M.%S} {row.token[:8]}"
            files = []
            for part in result.pictures:
                try:
                    content = await histories.history.picture(row, part)
                except Problem:
                    # It was removed meanwhile, or its file is gone; the others are not.
                    continue
                files.append(f"{folder}/{file_name(part, content)}")
                async for piece in in_turns(stream.add(files[-1], content)):
                    yield piece
            listed.append({"files": files, **result.model_dump(mode="json")})
        before = rows[-1].token
    for piece in (*stream.add(LIST, json.dumps(listed, indent=1, ensure_ascii=False).encode()), *stream.close()):
        yield piece


def _own(request: Request) -> tuple[Histories, int]:
    """The histories, and whose account a request comes with."""
    histories: Histories = request.app.state.histories
    return histories, histories.account(request.state.key)
