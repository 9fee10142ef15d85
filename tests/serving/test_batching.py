import threading

import numpy as np
import onnxruntime as ort
import pytest
import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from concord.server.installation import MODEL_REPOSITORIES
from tests.serving.asking import ask, statistics, tensors, together
from tests.serving.pictures import decoded, encoded, middle, photograph

NETWORKS = {
    "cris": lambda random, size: {
        "CRIS_IMAGE": random.integers(0, 256, (size, 416, 416, 3), np.uint8),
        "TOKENS": random.integers(0, 1000, (size, 17)),
    },
    "ht": lambda random, size: {
        "COMPOSITE": random.integers(0, 256, (size, 256, 256, 3), np.uint8),
        "COMPOSITE_MASK": random.integers(0, 2, (size, 256, 256), np.uint8),
    },
}
ATTEMPTS = 10


def merged_runs(server, model: str) -> int:
    """How many runs of a network answered two samples."""
    return sum(batch.compute_infer.count for batch in statistics(server)[model].batch_stats if batch.batch_size == 2)


def test_two_concurrent_requests_are_batched_in_both_networks(server):
    image = encoded(photograph(256, 192), "JPEG")
    inputs = [{"IMAGE": image, "TEXT": text} for text in (b"the red ball", b"the blue box")]
    alone = [ask(server, "segment_harmonize_ht", each) for each in inputs]
    before = {model: merged_runs(server, model) for model in NETWORKS}
    waiting = set(NETWORKS)
    for _ in range(ATTEMPTS):
        answers = together(2, lambda position: ask(server, "segment_harmonize_ht", inputs[position]))
        waiting -= {model for model in waiting if merged_runs(server, model) > before[model]}
        for answer, expected in zip(answers, alone, strict=True):
            assert answer["SCORE"] == pytest.approx(expected["SCORE"], abs=1e-3)
        if not waiting:
            break
    assert not waiting, f"never batched: {waiting}"


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_served_network_answers_as_onnx_runtime_does(server, network, size):
    inputs = NETWORKS[network](np.random.default_rng(size), size)
    session = ort.InferenceSession(MODEL_REPOSITORIES[0] / network / "1" / "model.onnx")
    [expected] = session.run(None, inputs)
    [answer] = ask(server, network, inputs).values()
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_merged_requests_get_their_own_answers(server, network):
    inputs = [NETWORKS[network](np.random.default_rng(position), 1 + position % 2) for position in range(4)]
    alone = [ask(server, network, each) for each in inputs]
    for answer, expected in zip(
        together(4, lambda position: ask(server, network, inputs[position])), alone, strict=True
    ):
        for name in expected:
            np.testing.assert_allclose(answer[name], expected[name], atol=1e-4)


def test_a_bad_request_among_good_ones_fails_alone(server):
    good = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}
    bad = good | {"IMAGE": b"no image"}

    def outcome(position: int) -> str:
        try:
            ask(server, "harmonize_ht", bad if position % 2 else good)
        except InferenceServerException as error:
            return str(error.message())
        return "answered"

    for position, result in enumerate(together(8, outcome)):
        assert "[invalid_image] IMAGE" in result if position % 2 else result == "answered"


def test_many_requests_at_once_are_all_answered(server):
    inputs = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}
    alone = decoded(ask(server, "harmonize_ht", inputs)["HARMONIZED"].item()).astype(int)
    for answer in together(40, lambda _position: ask(server, "harmonize_ht", inputs)):
        # Merged runs round differently in the last place.
        assert np.abs(decoded(answer["HARMONIZED"].item()) - alone).max() <= 1


def test_a_cancelled_request_leaves_the_server_answering(server):
    inputs = {"IMAGE": encoded(photograph(64, 48)), "MASK": encoded(middle(64, 48))}
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        outcomes: list = []
        done = threading.Event()

        def note(result, error):
            outcomes.append(error)
            done.set()

        client.async_infer("harmonize_ht", tensors(inputs), note).cancel()
        assert done.wait(60)
    assert "CANCELLED" in str(outcomes[0])
    assert decoded(ask(server, "harmonize_ht", inputs)["HARMONIZED"].item()).shape == (48, 64, 3)
