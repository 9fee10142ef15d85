"""A route is made from a task: a text to a picture here, which no server of this project has."""

import asyncio
import base64
import io
import json
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import pytest
from fastapi import FastAPI
from PIL import Image

from concord_client.tasks.fields import received, sent
from concord_client.tasks.request import Answer, Request
from facade.access.caller import Caller
from facade.problems import Problem
from facade.routes.tasks import form_of, router_of
from facade.wire.forms import validated
from facade.wire.pieces import Pieces
from facade.wire.replies import reply_of
from facade.work.pictures import Encoder
from tests.serving.pictures import encoded, photograph


@dataclass(frozen=True)
class Drawn(Answer):
    """A drawing.

    Attributes:
        image: PNG.
        box: left, top, right and bottom of the subject in pixels.
        seed: gives it again.
    """

    image: bytes = received("DRAWN", "what was drawn")
    box: tuple[float, ...] = received("BOX", "of the subject")
    seed: int | None = received("SEED", "gives it again", default=None)


@dataclass(frozen=True)
class Draw(Request[Drawn]):
    """Draws what a text says."""

    TASK: ClassVar[str] = "draw"
    text: str = sent("TEXT", "what is to be seen")
    width: int | None = sent("WIDTH", "in pixels", default=None)


@pytest.fixture(scope="module")
def described() -> dict:
    app = FastAPI()
    app.include_router(router_of([Draw]))
    return app.openapi()["paths"]["/v1/draw"]["post"]


def test_its_form_has_the_fields_of_the_request_and_those_of_a_picture(described):
    form = described["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"text", "width", "model", "timeout", "stream", "format", "quality"}
    assert form["required"] == ["text"] and form["properties"]["width"]["type"] == "integer"
    assert described["summary"] == "Draws what a text says."


def test_its_values_are_checked_by_their_kind():
    assert validated(form_of(Draw), {"text": "a boat", "width": "64"}).width == 64
    with pytest.raises(Problem) as refused:
        validated(form_of(Draw), {"text": "a boat", "width": "wide"})
    assert refused.value.field == "width"


def test_its_answer_is_described_by_the_fields_of_the_answer(described):
    answer = described["responses"]["200"]
    assert {"X-Concord-Box", "X-Concord-Seed", "X-Concord-Model"} <= set(answer["headers"])
    assert {"image/png", "image/webp", "application/json", "text/event-stream"} == set(answer["content"]) - {
        "image/jpeg",
        "image/vnd.adobe.photoshop",
    }


def test_its_answer_is_a_picture_with_headers_or_json():
    drawn = Drawn(encoded(photograph(8, 6)), (0.5, 1, 7, 5.25))
    caller = Caller("a-job")
    reply = asyncio.run(reply_of(drawn, Encoder(), "webp", 90, "painter", caller, {"inference": 1.0}))
    picture = reply.response("image/webp", ExitStack())
    assert Image.open(io.BytesIO(reply.picture)).format == "WEBP"
    assert picture.headers["content-length"] == str(len(reply.picture)) == str(reply.size)
    assert picture.headers["x-concord-box"] == "0.5,1,7,5.25" and "x-concord-seed" not in picture.headers
    told = json.loads(b"".join(Pieces.of(reply.told())))
    assert base64.b64decode(told["image"]) == reply.picture and told["format"] == "webp"
    assert told["box"] == [0.5, 1, 7, 5.25] and told["seed"] is None
    assert (told["model"], told["job"]) == ("painter", "a-job") and set(told["seconds"]) == {"inference", "encode"}
