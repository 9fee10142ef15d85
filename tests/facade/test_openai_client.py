"""The official ``openai`` package with its ``base_url`` set to the facade."""

import asyncio
import base64
import inspect
import io

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.images import Images
from openai.types import ImageEditCompletedEvent, ImageEditPartialImageEvent

from facade.openai.shapes import EditForm
from facade.settings import Settings
from tests.facade.conftest import HEIGHT, WIDTH
from tests.facade.running import PATIENCE, Facade, running
from tests.serving.pictures import decoded, encoded, middle, photograph

PROMPT = "the red ball"
KEY = "concord-test-key"
REFUSED = {"markup", "svg", "frame_count", "frame_duration_ms"}
"""Parameters that have no meaning here, and whose effect would be missed."""
OF_THE_CLIENT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}


def client(facade: Facade, key: str = "none", **options) -> OpenAI:
    return OpenAI(base_url=f"{facade.url}/v1", api_key=key, timeout=PATIENCE, max_retries=0, **options)


@pytest.fixture(scope="module")
def openai_client(facade):
    with client(facade) as opened:
        yield opened


@pytest.fixture(scope="module")
def keyed(server):
    """A facade that wants a key, and takes two requests a minute from each."""
    settings = Settings(triton_url=server.grpc_url, page=False, api_keys=KEY, rate_limit="2/minute")
    with running(settings) as facade:
        yield facade


def as_file(picture: bytes) -> tuple[str, io.BytesIO, str]:
    return "photo.png", io.BytesIO(picture), "image/png"


def long_stream(opened: OpenAI, image: bytes):
    """The events of a diffusion that takes its time."""
    return opened.images.edit(
        image=as_file(image),
        prompt=PROMPT,
        model="diffharmony",
        stream=True,
        partial_images=3,
        extra_body={"steps": 50},
    )


def test_every_parameter_of_the_package_is_known():
    theirs = set(inspect.signature(Images.edit).parameters) - OF_THE_CLIENT
    ours = {info.alias or name for name, info in EditForm.model_fields.items()}
    assert theirs - ours == REFUSED


def test_a_photograph_is_edited_by_its_prompt(openai_client, http, image):
    answer = openai_client.images.edit(image=as_file(image), prompt=PROMPT, model="ht")
    ours = http.post("/v1/harmonize", files={"image": image}, data={"text": PROMPT}).content
    assert base64.b64decode(answer.data[0].b64_json) == ours
    assert (answer.output_format, answer.size) == ("png", f"{WIDTH}x{HEIGHT}")


def test_a_photograph_is_edited_where_its_mask_is_transparent(openai_client, image):
    mask = encoded(np.dstack([photograph(WIDTH, HEIGHT), 255 - middle(WIDTH, HEIGHT)]))
    answer = openai_client.images.edit(image=[as_file(image)], mask=as_file(mask), prompt=PROMPT, model="ht")
    changed = (decoded(base64.b64decode(answer.data[0].b64_json)) != decoded(image)).any(axis=2)
    assert changed.any() and not changed[middle(WIDTH, HEIGHT) == 0].any()


def test_parameters_that_may_be_none_may_be_none(openai_client, image):
    absent = dict.fromkeys(("model", "n", "size", "quality", "background", "output_format", "stream", "partial_images"))
    assert openai_client.images.edit(image=as_file(image), prompt=PROMPT, **absent).data


def test_a_stream_ends_with_the_picture(openai_client, image):
    options = {"output_format": "webp", "quality": "high", "partial_images": 2}
    events = list(openai_client.images.edit(image=as_file(image), prompt=PROMPT, model="ht", stream=True, **options))
    assert [type(event) for event in events] == [ImageEditCompletedEvent]
    assert (events[0].output_format, events[0].quality, events[0].usage.total_tokens) == ("webp", "high", 0)
    assert base64.b64decode(events[0].b64_json).startswith(b"RIFF")


def test_the_asynchronous_client_works_as_well(facade, image):
    async def edit() -> list[int]:
        async with AsyncOpenAI(base_url=f"{facade.url}/v1", api_key="none", timeout=PATIENCE) as opened:
            whole = await opened.images.edit(image=as_file(image), prompt=PROMPT)
            stream = await opened.images.edit(image=as_file(image), prompt=PROMPT, stream=True)
            return [len(whole.data)] + [len(event.b64_json) async for event in stream]

    whole, streamed = asyncio.run(edit())
    assert whole == 1 and streamed > 100


@pytest.mark.parametrize(
    "parameters, kind, code, param",
    [
        ({"model": "gpt-image-2"}, openai.NotFoundError, "unknown_model", "model"),
        ({"size": "1024x1024"}, openai.BadRequestError, "invalid_setting", "size"),
        ({"response_format": "url"}, openai.BadRequestError, "invalid_setting", "response_format"),
        ({"background": "transparent"}, openai.BadRequestError, "invalid_setting", "background"),
        ({"n": 3}, openai.BadRequestError, "invalid_setting", "n"),
        ({"frame_count": 3}, openai.BadRequestError, "unexpected_field", "frame_count"),
        ({"image": ("a.txt", b"no picture")}, openai.BadRequestError, "invalid_image", "image"),
        ({"stream": True, "model": "nothing"}, openai.NotFoundError, "unknown_model", "model"),
    ],
)
def test_refusals_are_the_packages_own_exceptions(openai_client, image, parameters, kind, code, param):
    with pytest.raises(kind) as refused:
        openai_client.images.edit(**{"image": as_file(image), "prompt": PROMPT} | parameters)
    error = refused.value
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert error.request_id and error.body["message"] in str(error)


def test_several_images_are_refused(openai_client, image):
    with pytest.raises(openai.BadRequestError, match="one image"):
        openai_client.images.edit(image=[as_file(image), as_file(image)], prompt=PROMPT)


def test_a_missing_key_and_a_rate_are_the_packages_own_exceptions(keyed, image):
    with client(keyed, key="wrong") as opened, pytest.raises(openai.AuthenticationError) as refused:
        opened.images.edit(image=as_file(image), prompt=PROMPT)
    assert (refused.value.code, refused.value.type) == ("unauthorized", "authentication_error")
    with client(keyed, key=KEY) as opened:
        for _ in range(2):
            assert opened.images.edit(image=as_file(image), prompt=PROMPT).data
        with pytest.raises(openai.RateLimitError) as refused:
            opened.images.edit(image=as_file(image), prompt=PROMPT)
    assert (refused.value.code, refused.value.type) == ("rate_limited", "rate_limit_error")
    assert int(refused.value.response.headers["retry-after"]) >= 1


def test_partial_images_of_a_diffusion_come_before_the_picture(diffusing_facade, image):
    with client(diffusing_facade) as opened:
        stream = opened.images.edit(
            image=as_file(image),
            prompt=PROMPT,
            model="diffharmony",
            stream=True,
            partial_images=2,
            output_format="jpeg",
            extra_body={"seed": 7, "steps": 6},
        )
        events = list(stream)
    kinds = [ImageEditPartialImageEvent, ImageEditPartialImageEvent, ImageEditCompletedEvent]
    assert [type(event) for event in events] == kinds
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert all(base64.b64decode(event.b64_json).startswith(b"\xff\xd8") for event in events)
    assert (events[2].seed, events[2].size) == (7, f"{WIDTH}x{HEIGHT}")


def test_several_pictures_of_a_diffusion_have_a_seed_each(diffusing_facade, image):
    settings = {"seed": 2**63 - 1, "steps": 2}
    with client(diffusing_facade) as opened:
        edit = opened.images.edit
        two = edit(image=as_file(image), prompt=PROMPT, model="diffharmony", n=2, extra_body=settings)
        second = edit(image=as_file(image), prompt=PROMPT, model="diffharmony", extra_body=settings | {"seed": 0})
    assert [picture.seed for picture in two.data] == [2**63 - 1, 0]
    assert two.data[0].b64_json != two.data[1].b64_json == second.data[0].b64_json


def test_a_stream_that_is_left_ends_its_diffusion(diffusing_facade, image):
    with client(diffusing_facade) as opened:
        stream = long_stream(opened, image)
        next(stream)
        stream.close()
    service = diffusing_facade.service
    diffusing_facade.wait_until(
        lambda: not service.jobs and not any(service.admission.running.values()), "the diffusion ends"
    )


def test_a_cancelled_stream_is_the_packages_own_exception(diffusing_facade, diffusing_http, image):
    with client(diffusing_facade, default_headers={"X-Job-Id": "edit-1"}) as opened:
        stream = long_stream(opened, image)
        next(stream)
        assert diffusing_http.delete("/v1/jobs/edit-1").status_code == 204
        with pytest.raises(openai.APIError) as cancelled:
            list(stream)
    assert cancelled.value.code == "cancelled"
