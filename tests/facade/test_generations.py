"""``POST /v1/images/generations``, with OpenAI's own package and over plain HTTP, and ``/v1/generate``."""

import asyncio
import base64
import inspect
import json

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.images import Images
from openai.types import ImageGenCompletedEvent

from facade.openai.shapes import GenerationForm
from tests.facade.running import PATIENCE
from tests.serving.pictures import decoded

GENERATIONS = "/v1/images/generations"
PROMPT = "a red bird on a branch"
REFUSED = {"svg", "frame_count", "frame_duration_ms"}
"""Parameters that have no meaning here, and whose effect would be missed."""
OF_THE_CLIENT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}


@pytest.fixture(scope="module")
def package(diffusing_facade):
    with OpenAI(base_url=f"{diffusing_facade.url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as opened:
        yield opened


@pytest.fixture
def http(diffusing_http):
    return diffusing_http


def picture(made) -> bytes:
    return base64.b64decode(made.b64_json)


def test_every_parameter_of_the_package_is_known():
    theirs = set(inspect.signature(Images.generate).parameters) - OF_THE_CLIENT
    assert theirs - GenerationForm.model_fields.keys() == REFUSED


def test_a_prompt_becomes_a_picture(package, http):
    answer = package.images.generate(prompt=PROMPT, model="attngan", extra_body={"seed": 7})
    ours = http.post("/v1/generate", files={"text": (None, PROMPT)}, data={"seed": 7})
    assert ours.status_code == 200 and ours.headers["content-type"] == "image/png"
    assert picture(answer.data[0]) == ours.content and decoded(ours.content).shape == (256, 256, 3)
    assert (answer.output_format, answer.size, answer.data[0].seed) == ("png", "256x256", 7)


@pytest.mark.parametrize("side", [64, 128])
def test_the_size_is_that_of_a_square_the_model_can_make(package, side):
    answer = package.images.generate(prompt=PROMPT, size=f"{side}x{side}")
    assert answer.size == f"{side}x{side}" and decoded(picture(answer.data[0])).shape == (side, side, 3)


def test_several_pictures_have_a_seed_each(package):
    two = package.images.generate(prompt=PROMPT, n=2, extra_body={"seed": 3})
    assert [each.seed for each in two.data] == [3, 4] and picture(two.data[0]) != picture(two.data[1])


def test_a_stream_ends_with_the_picture(package):
    events = list(package.images.generate(prompt=PROMPT, stream=True, partial_images=2, output_format="webp"))
    assert [type(event) for event in events] == [ImageGenCompletedEvent]
    assert picture(events[0]).startswith(b"RIFF") and events[0].output_format == "webp"


def test_the_asynchronous_client_works_as_well(diffusing_facade):
    async def made() -> int:
        async with AsyncOpenAI(base_url=f"{diffusing_facade.url}/v1", api_key="none", timeout=PATIENCE) as opened:
            return len((await opened.images.generate(prompt=PROMPT)).data)

    assert asyncio.run(made()) == 1


@pytest.mark.parametrize(
    ("parameters", "kind", "code", "param"),
    [
        ({"prompt": "ein Vogel"}, openai.BadRequestError, "invalid_text", "prompt"),
        ({"prompt": ""}, openai.BadRequestError, "invalid_text", "prompt"),
        ({"model": "dall-e-3"}, openai.NotFoundError, "unknown_model", "model"),
        ({"model": "diffharmony"}, openai.NotFoundError, "unknown_model", "model"),
        ({"size": "1024x1024"}, openai.BadRequestError, "invalid_setting", "resolution"),
        ({"size": "256x128"}, openai.BadRequestError, "invalid_setting", "size"),
        ({"size": "large"}, openai.BadRequestError, "invalid_setting", "size"),
        ({"n": 9}, openai.BadRequestError, "invalid_setting", "n"),
        ({"output_compression": 50}, openai.BadRequestError, "invalid_setting", "output_compression"),
        ({"extra_body": {"steps": 5}}, openai.BadRequestError, "unexpected_field", "steps"),
        ({"extra_body": {"seed": "lucky"}}, openai.BadRequestError, "invalid_setting", "seed"),
        ({"extra_body": {"seed": [1]}}, openai.BadRequestError, "invalid_setting", "seed"),
    ],
)
def test_refusals_are_the_packages_own_exceptions(package, parameters, kind, code, param):
    with pytest.raises(kind) as refused:
        package.images.generate(**{"prompt": PROMPT} | parameters)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_body"),
        (b"[" * 100_000, "application/json", 400, "malformed_body"),
        (b'"a red bird"', "application/json", 400, "malformed_body"),
        (b"\xff{}", "application/json", 400, "malformed_body"),
        (b"{}", "application/json", 400, "missing_field"),
        (json.dumps({"prompt": 7}).encode(), "application/json", 400, "invalid_setting"),
        (b"prompt=a+bird", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b" " * (2 << 20), "application/json", 413, "request_too_large"),
    ],
    ids=["half", "deep", "text", "no UTF-8", "empty", "number", "form", "large"],
)
def test_what_is_no_request_is_a_typed_problem(http, content, media_type, status, code):
    answer = http.post(GENERATIONS, content=content, headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_the_route_is_described_with_the_models_settings(http):
    operation = http.get("/openapi.json").json()["paths"][GENERATIONS]["post"]
    fields = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"prompt", "size", "seed", "resolution"} <= fields.keys()
