"""A loop of another kind is a class, a configuration and a model of a few lines; the rest it inherits."""

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer, Ports
from tests.serving.asking import statistics, together
from tests.serving.pictures import decoded, encoded, photograph
from tests.serving.streams import Stream
from tests.serving.tiny_networks import unet, write_networks

MODEL = '''
import numpy as np
from concord.images import decode_image
from concord.png import encode_png
from concord.loops.host import ask_network
from concord.loops.latent import denoise
from concord.loops.loop import Loop
from concord.loops.model import LoopModel
from concord.samplers import make_sampler
from concord.squash import squash_image


class Vary(Loop):
    """A variation of an image: half of the steps, from its own latent; the left half of the latent stays."""

    async def answer(self):
        models, settings = self.request.models, self.request.settings
        image = await self.host.compute(decode_image, self.request.inputs["IMAGE"], self.limits)
        square = squash_image(image.pixels, 256)
        clean = await ask_network(self.host, models["encoder"], {"COMPOSITE": square}, "COMPOSITE_LATENT", "encoding")
        sampler = make_sampler(settings["SAMPLER"], 2 * self.steps, start=self.steps)
        noise = self.noise.draw(0, clean.shape)
        left = np.arange(clean.shape[2]) < clean.shape[2] // 2
        conditions = {"LATENT_MASK": np.ones((1, *clean.shape[1:]), np.float32), "COMPOSITE_LATENT": clean}

        def keep_left(latent, i):
            return np.where(left, sampler.noised(clean, noise, i), latent)

        async def tell(step, estimate):
            await self.report(step)

        latent = await denoise(
            self.host, models["denoiser"], sampler, sampler.noised(clean, noise, 0), conditions, self.noise,
            before=keep_left, after=lambda latent, i: keep_left(latent, i + 1), on_step=tell,
        )
        result = await ask_network(self.host, models["decoder"], {"LATENT": latent}, "SMALL_RESULT", "decoding")
        pixels = (np.clip(result.transpose(1, 2, 0), 0, 1) * 255).astype(np.uint8)
        return {"VARIED": await self.host.compute(encode_png, pixels)}


class TritonPythonModel(LoopModel):
    loop = Vary
'''
CONFIG = """backend: "python"
max_batch_size: 1
input [
  { name: "IMAGE" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "SEED" data_type: TYPE_INT64 dims: [ 1 ] optional: true },
  { name: "STEPS" data_type: TYPE_INT32 dims: [ 1 ] optional: true },
  { name: "SAMPLER" data_type: TYPE_STRING dims: [ 1 ] optional: true },
  { name: "TIMEOUT" data_type: TYPE_FP32 dims: [ 1 ] optional: true }
]
output [
  { name: "STEP" data_type: TYPE_INT32 dims: [ 1 ] },
  { name: "TOTAL" data_type: TYPE_INT32 dims: [ 1 ] },
  { name: "VARIED" data_type: TYPE_STRING dims: [ 1 ] },
  { name: "SEED" data_type: TYPE_INT64 dims: [ 1 ] }
]
instance_group [ { count: 1 kind: KIND_CPU } ]
model_transaction_policy { decoupled: true }
parameters { key: "task" value { string_value: "vary" } }
parameters { key: "model" value { string_value: "vary" } }
parameters { key: "part.encoder" value { string_value: "vae_encoder" } }
parameters { key: "part.denoiser" value { string_value: "unet" } }
parameters { key: "part.decoder" value { string_value: "vae_decoder" } }
parameters { key: "setting.SEED" value { string_value: "; 0..9223372036854775807; of the noise" } }
parameters { key: "setting.STEPS" value { string_value: "4; 1..25; steps" } }
parameters { key: "setting.SAMPLER" value { string_value: "heun; heun|plms; sampler" } }
"""
GOOD = {"IMAGE": encoded(photograph(96, 72)), "SEED": 3}
ATTEMPTS = 5


@pytest.fixture(scope="module")
def varying(tmp_path_factory):
    repository = tmp_path_factory.mktemp("models")
    write_networks(repository, "vae_encoder", "unet", "vae_decoder", unet=unet(layers=6))
    (repository / "vary" / "1").mkdir(parents=True)
    (repository / "vary" / "1" / "model.py").write_text(MODEL)
    (repository / "vary" / "config.pbtxt").write_text(CONFIG)
    with EmbeddedServer([repository], ports=Ports(0, 0, 0)) as running:
        yield running


def steps_and_runs(server) -> tuple[int, int]:
    network = statistics(server)["unet"]
    return network.inference_count, network.execution_count


def vary(server, **settings: object) -> list[dict]:
    with Stream(server, GOOD | settings, "vary") as responses:
        return list(responses)


def test_its_pipeline_is_in_the_catalogue(varying):
    assert catalogue(varying.model_repositories).tasks == ("vary",)


def test_its_steps_are_reported_and_its_picture_is_the_seed_s(varying):
    *progress, last = vary(varying)
    assert [(response["STEP"], response["TOTAL"]) for response in progress] == [(step, 4) for step in range(1, 5)]
    assert (last["STEP"], last["TOTAL"], last["SEED"]) == (4, 4, 3)
    again, other = vary(varying)[-1], vary(varying, SEED=4)[-1]
    pictures = [decoded(each["VARIED"]).astype(int) for each in (last, again, other)]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    changed = np.abs(pictures[0] - pictures[2]).max(axis=(0, 2))
    # The decoder looks across the border between the halves, over a latent's eight pixels.
    assert changed[:120].max() == 0 < changed[136:].min()


def test_its_settings_are_its_own(varying):
    with pytest.raises(InferenceServerException, match=r"STEPS: is 26; allowed: a whole number from 1 to 25"):
        vary(varying, STEPS=26)
    with pytest.raises(InferenceServerException, match=r"SAMPLER: is 'ddim'; allowed: heun, plms"):
        vary(varying, SAMPLER=b"ddim")


def test_its_time_runs_out(varying):
    with pytest.raises(InferenceServerException, match=r"TIMEOUT: not answered within 0.1 s, after \d+ of 25 steps;"):
        vary(varying, TIMEOUT=0.1, STEPS=25)


def test_it_stops_when_it_is_cancelled(varying):
    before, _ = steps_and_runs(varying)
    with Stream(varying, GOOD | {"STEPS": 25}, "vary") as responses:
        assert next(iter(responses))["STEP"] == 1
    vary(varying, STEPS=25)
    made = steps_and_runs(varying)[0] - before
    assert 49 < made < 49 + 45


def test_its_requests_share_the_denoiser_s_batches(varying):
    """The best of a few attempts, since a busy machine can keep requests apart."""
    shared = []
    while len(shared) < ATTEMPTS and (not shared or shared[-1] <= 1.5):
        steps, runs = steps_and_runs(varying)
        together(4, lambda seed: vary(varying, SEED=seed, STEPS=10))
        steps_after, runs_after = steps_and_runs(varying)
        shared.append((steps_after - steps) / (runs_after - runs))
    assert shared[-1] > 1.5, shared
