"""The clients and the command against the real server's diffusion models, on tiny networks."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from concord.server.embedded import EmbeddedServer, Ports
from concord.server.watchdog import Watchdog
from concord_client import (
    AsyncClient,
    Cancellation,
    Cancelled,
    Client,
    DeadlineExceeded,
    Diffusion,
    InvalidInput,
)
from tests.serving.asking import statistics
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.stack import stub_of
from tests.serving.tiny_networks import link_segmenting, unet, write_loops, write_networks

WIDTH, HEIGHT = 160, 120
IMAGE = encoded(photograph(WIDTH, HEIGHT))
MASK = encoded(middle(WIDTH, HEIGHT))
OUTSIDE = middle(WIDTH, HEIGHT) == 0
LONG = Diffusion(steps=50, resolution=1024)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    repository = tmp_path_factory.mktemp("models")
    link_segmenting(repository)
    write_networks(repository, unet=unet(layers=6))
    write_loops(repository)
    return repository


@pytest.fixture(scope="module")
def diffusing(repository):
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


@pytest.fixture
def url(diffusing, protocol):
    return diffusing.grpc_url if protocol == "grpc" else diffusing.http_url


@pytest.fixture
def watched(diffusing):
    """Has the server started again when something of it dies; set when that is done."""
    again, stop = threading.Event(), threading.Event()

    def notify(words):
        if "ready again" in words:
            again.set()

    watchdog = threading.Thread(target=Watchdog(diffusing, interval=0.2, notify=notify).watch, args=(stop,))
    watchdog.start()
    yield again
    stop.set()
    watchdog.join()


def process_of(model, server):
    """The process that runs a model, or the server's own."""
    if model != "tritonserver":
        return stub_of(model, server.processes())
    return next(each for each in server.processes() if each.name() == model)


def unet_calls(server):
    return statistics(server)["unet"].inference_count


def steps_beside(server, steps):
    """Answers a request and counts the steps that the server did for others meanwhile."""
    before = unet_calls(server)
    with Client(server.grpc_url) as client:
        client.harmonize(IMAGE, mask=MASK, model="diffharmony", diffusion=replace(LONG, steps=steps))
    return unet_calls(server) - before - steps


def test_a_mask_is_harmonized_and_the_rest_untouched(ask, url, protocol):
    seen = []
    diffusion = Diffusion(seed=7, steps=3, preview=True)
    answer = ask(url, "harmonize", IMAGE, mask=MASK, model="diffharmony", diffusion=diffusion, on_step=seen.append)
    pixels = decoded(answer.image)
    assert (pixels[OUTSIDE] == decoded(IMAGE)[OUTSIDE]).all()
    assert (pixels[~OUTSIDE] != decoded(IMAGE)[~OUTSIDE]).any()
    assert (answer.seed, answer.mask, answer.score) == (7, None, None)
    if protocol == "grpc":
        assert [(progress.step, progress.total) for progress in seen] == [(0, 3), (1, 3), (2, 3), (3, 3)]
        assert seen[0].preview is None
        assert all(decoded(progress.preview).ndim == 3 for progress in seen[1:])
    else:
        assert seen == []


def test_a_text_finds_the_part_and_every_setting_is_taken(ask, url):
    diffusion = Diffusion(seed=2**63 - 1, steps=2, sampler="dpmpp_2m", resolution=256, decoder="harmony", refine=True)
    answer = ask(url, "harmonize", IMAGE, text="the square", model="diffharmony", diffusion=diffusion)
    assert answer.seed == 2**63 - 1
    assert decoded(answer.image).shape == (HEIGHT, WIDTH, 3)
    assert decoded(answer.mask).shape == (HEIGHT, WIDTH)
    assert 0 <= answer.score <= 1
    assert not answer.truncated


def test_a_seed_gives_its_picture_again_over_both_protocols_and_clients(diffusing):
    def diffuse(url, protocol, diffusion):
        with Client(url, protocol=protocol) as client:
            return client.harmonize(IMAGE, mask=MASK, model="diffharmony", diffusion=diffusion)

    async def diffuse_async(url, protocol, diffusion):
        async with AsyncClient(url, protocol=protocol) as client:
            return await client.harmonize(IMAGE, mask=MASK, model="diffharmony", diffusion=diffusion)

    addresses = [(diffusing.grpc_url, "grpc"), (diffusing.http_url, "http")]
    first = diffuse(*addresses[0], Diffusion(steps=2))
    again = Diffusion(steps=2, seed=first.seed)
    answers = [diffuse(*address, again) for address in addresses]
    answers += [asyncio.run(diffuse_async(*address, again)) for address in addresses]
    assert all(answer.image == first.image for answer in answers)
    assert diffuse(*addresses[0], Diffusion(steps=2, seed=first.seed ^ 1)).image != first.image


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"steps": 0}, "STEPS"),
        ({"steps": 51}, "STEPS"),
        ({"seed": -1}, "SEED"),
        ({"sampler": "euler"}, "SAMPLER"),
        ({"resolution": 300}, "RESOLUTION"),
        ({"decoder": "best"}, "DECODER"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_by_name(ask, url, setting, field):
    with pytest.raises(InvalidInput) as refusal:
        ask(url, "harmonize", IMAGE, mask=MASK, model="diffharmony", diffusion=Diffusion(**setting))
    assert (refusal.value.code, refusal.value.field) == ("invalid_setting", field)
    assert refusal.value.allowed


def test_bad_images_are_refused_by_name(ask, url):
    for options, field in (({"mask": MASK}, "IMAGE"), ({"text": "x"}, "IMAGE")):
        with pytest.raises(InvalidInput) as refusal:
            ask(url, "harmonize", b"no image", model="diffharmony", **options)
        assert refusal.value.field == field
    with pytest.raises(InvalidInput) as refusal:
        ask(url, "harmonize", IMAGE, mask=encoded(middle(30, 20)), model="diffharmony")
    assert refusal.value.field == "MASK"


def test_streams_side_by_side_have_their_own_pictures(diffusing):
    def diffuse(seed):
        return client.harmonize(IMAGE, mask=MASK, model="diffharmony", diffusion=Diffusion(seed=seed, steps=4))

    with Client(diffusing.grpc_url) as client, ThreadPoolExecutor(4) as threads:
        together = list(threads.map(diffuse, range(4)))
        alone = [diffuse(seed) for seed in range(4)]
    assert [answer.seed for answer in together] == [0, 1, 2, 3]
    difference = [
        np.abs(decoded(one.image).astype(int) - decoded(other.image)).max()
        for one, other in zip(together, alone, strict=True)
    ]
    assert max(difference) <= 1


def test_cancelling_a_blocking_call_stops_the_server_within_a_step(diffusing):
    cancellation, seen = Cancellation(), []

    def on_step(progress):
        seen.append(progress.step)
        if progress.step == 2:
            cancellation.cancel()

    with Client(diffusing.grpc_url) as client, pytest.raises(Cancelled):
        client.harmonize(
            IMAGE, mask=MASK, model="diffharmony", diffusion=LONG, on_step=on_step, cancellation=cancellation
        )
    assert seen == [0, 1, 2]
    assert steps_beside(diffusing, 10) <= 1


def test_cancelling_a_task_stops_the_server_within_a_step(diffusing):
    async def cancel():
        async with AsyncClient(diffusing.grpc_url) as client:
            task = asyncio.create_task(
                client.harmonize(
                    IMAGE,
                    mask=MASK,
                    model="diffharmony",
                    diffusion=LONG,
                    on_step=lambda progress: progress.step == 2 and task.cancel(),
                )
            )
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())
    assert steps_beside(diffusing, 10) <= 1


def test_the_server_keeps_the_clients_deadline(ask, url, diffusing):
    with pytest.raises(DeadlineExceeded):
        ask(url, "harmonize", IMAGE, mask=MASK, model="diffharmony", diffusion=LONG, timeout=0.5)
    assert steps_beside(diffusing, 10) <= 2


@pytest.mark.parametrize("victim", ["tritonserver", "diffharmony", "unet"])
def test_when_something_dies_amid_the_steps_the_request_is_answered_all_the_same(diffusing, watched, victim):
    steps = []

    def kill_once(progress):
        steps.append(progress.step)
        if steps.count(2) == 1 and progress.step == 2:
            process_of(victim, diffusing).kill()

    with Client(diffusing.grpc_url) as client:
        ask = partial(client.harmonize, IMAGE, mask=MASK, model="diffharmony", diffusion=replace(LONG, seed=3))
        killed = ask(on_step=kill_once)
        assert watched.wait(60)
        assert killed.image == ask().image
    assert steps[-50:] == list(range(1, 51))


def test_the_command_writes_the_picture_over_both_protocols(concord, url, protocol, tmp_path):
    (tmp_path / "photo.png").write_bytes(IMAGE)
    (tmp_path / "mask.png").write_bytes(MASK)
    run = concord(
        *("harmonize", "--model", "diffharmony", "--image", tmp_path / "photo.png", "--mask", tmp_path / "mask.png"),
        *("-o", tmp_path / "out.png", "--steps", 2, "--seed", 11, "--sampler", "ddim", "--url", url),
        *("--protocol", protocol),
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "seed 11\n", "")
    pixels = decoded((tmp_path / "out.png").read_bytes())
    assert (pixels[OUTSIDE] == decoded(IMAGE)[OUTSIDE]).all()
