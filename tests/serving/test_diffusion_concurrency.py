"""Diffusion requests side by side: they share the denoiser's batches, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from concord.samplers import SAMPLERS
from concord.server.embedded import EmbeddedServer, Ports
from tests.serving.asking import ask, statistics, together
from tests.serving.pictures import decoded, encoded, middle, photograph
from tests.serving.streams import Stream, stream, wire
from tests.serving.tiny_networks import unet, write_loops, write_networks

GOOD = {"IMAGE": encoded(photograph(96, 72)), "MASK": encoded(middle(96, 72)), "STEPS": 10}
ATTEMPTS = 5
SAMPLER_NAMES = [name.encode() for name in SAMPLERS]
# Decodes a latent to grey, and keeps it.
RECORDER = """
import itertools
from pathlib import Path
import numpy as np
from concord.adapter import SampleModel

class TritonPythonModel(SampleModel):
    def load(self):
        self._numbers = itertools.count()

    def answer(self, sample, requested):
        latent = sample["LATENT"]
        np.save(Path({folder!r}) / f"{{next(self._numbers)}}.npy", latent)
        return {{"SMALL_RESULT": np.full((3, 8 * latent.shape[1], 8 * latent.shape[2]), 0.5, np.float32)}}
"""


def batches(server) -> tuple[int, int]:
    """Steps of the denoiser so far, and the runs that they took."""
    network = statistics(server)["unet"]
    return network.inference_count, network.execution_count


def mean_batch(server, function: Callable[[], object]) -> float:
    """Mean batch of the denoiser while something is done."""
    steps, runs = batches(server)
    function()
    steps_after, runs_after = batches(server)
    return (steps_after - steps) / (runs_after - runs)


def latents(folder: Path) -> list[np.ndarray]:
    """The latents that were decoded since the last time, in any order."""
    found = [np.load(path) for path in folder.glob("*.npy")]
    for path in folder.glob("*.npy"):
        path.unlink()
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A server whose decoder keeps every latent, which takes three jobs at a time; and where the latents are."""
    repository, folder = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("latents")
    write_networks(repository, unet=unet(layers=6))
    (repository / "vae_decoder" / "1" / "model.onnx").unlink()
    (repository / "vae_decoder" / "1" / "model.py").write_text(RECORDER.format(folder=str(folder)))
    config = repository / "vae_decoder" / "config.pbtxt"
    config.write_text(config.read_text().replace('"onnxruntime"', '"python"').replace("model.onnx", "model.py"))
    write_loops(repository, max_jobs=3)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        latents(folder)
        yield running, folder


def test_four_concurrent_requests_share_the_denoiser_s_batches(diffusing):
    """More than 1.5 steps a run: the best of a few attempts, since a busy machine can keep requests apart."""
    measured = []
    while len(measured) < ATTEMPTS and (not measured or measured[-1] <= 1.5):
        measured.append(
            mean_batch(diffusing, lambda: together(4, lambda seed: stream(diffusing, GOOD | {"SEED": seed})))
        )
    assert measured[-1] > 1.5, measured


def test_latents_are_the_same_alone_and_merged(recorded):
    server, folder = recorded

    def denoise(seed: int) -> None:
        stream(server, GOOD | {"SEED": seed})

    alone = []
    for seed in range(3):
        denoise(seed)
        alone += latents(folder)
    measured = []
    while len(measured) < ATTEMPTS and (not measured or measured[-1] <= 1):
        measured.append(mean_batch(server, lambda: together(3, denoise)))
        merged = latents(folder)
    assert measured[-1] > 1, measured
    assert len(merged) == len(alone) == 3
    distances = np.array([[np.abs(first - second).max() for second in merged] for first in alone])
    assert np.all(distances.min(axis=1) < 1e-4) and np.all(distances.min(axis=0) < 1e-4)
    assert np.sort(distances.ravel())[3] > 0.1


def test_eight_concurrent_streams_get_their_own_pictures(diffusing):
    inputs = [
        GOOD
        | {"SEED": seed, "STEPS": 3 + seed % 3, "SAMPLER": SAMPLER_NAMES[seed % len(SAMPLER_NAMES)]}
        | ({"RESOLUTION": 512} if seed % 4 == 3 else {})
        for seed in range(8)
    ]
    alone = [stream(diffusing, each) for each in inputs]
    for answer, expected in zip(together(8, lambda i: stream(diffusing, inputs[i])), alone, strict=True):
        assert [response["STEP"] for response in answer] == [response["STEP"] for response in expected]
        assert answer[-1]["SEED"] == expected[-1]["SEED"]
        pictures = [decoded(responses[-1]["HARMONIZED"]).astype(int) for responses in (answer, expected)]
        # Batches differ in the last bits of the denoiser's arithmetic, which may tip the rounding of a pixel.
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_once_answers_requests_side_by_side(diffusing):
    measured = []
    while len(measured) < ATTEMPTS and (not measured or measured[-1] <= 1):
        ways = [wire(GOOD | {"SEED": seed}) for seed in range(4)]
        measured.append(
            mean_batch(diffusing, lambda ways=ways: together(4, lambda i: ask(diffusing, "diffharmony_once", ways[i])))
        )
    assert measured[-1] > 1, measured


def test_bad_requests_among_good_ones_fail_alone(diffusing):
    bad = [{"IMAGE": b"no image"}, {"STEPS": 99}, {"TIMEOUT": 0.001}, {"MASK": encoded(middle(8, 8))}]
    expected = ["invalid_image", "invalid_setting", "deadline_exceeded", "invalid_mask"]

    def outcome(position: int) -> str:
        inputs = GOOD | {"SEED": 1} | (bad[position // 2] if position % 2 else {})
        try:
            return stream(diffusing, inputs)[-1]["HARMONIZED"]
        except InferenceServerException as error:
            return error.message()

    outcomes = together(8, outcome)
    good = [decoded(picture).astype(int) for picture in outcomes[::2]]
    assert all(np.abs(picture - good[0]).max() <= 1 for picture in good)
    assert all(f"[{code}]" in message for code, message in zip(expected, outcomes[1::2], strict=True))


def test_more_jobs_than_the_server_takes_are_refused_at_once(recorded):
    server, _ = recorded
    jobs = [Stream(server, GOOD | {"STEPS": 50}) for _ in range(3)]
    try:
        running = [iter(job) for job in jobs]
        assert [next(job)["STEP"] for job in running] == [0, 0, 0]
        with pytest.raises(
            InferenceServerException, match=r"\[busy\] diffharmony: 3 requests are being answered; allow"
        ):
            stream(server, GOOD)
        assert all(list(job)[-1]["HARMONIZED"] for job in running)
    finally:
        for job in jobs:
            job.cancel()
    assert stream(server, GOOD)[-1]["HARMONIZED"]
