"""The loop of text-to-image latent diffusion (Rombach et al. 2022): a text to a picture, step by step."""

import numpy as np

from concord.loops.host import Sample
from concord.loops.latent import denoise
from concord.loops.latent_loop import LatentLoop
from concord.loops.text_conditions import GUIDANCE, text_conditions
from concord.png import encode_picture
from concord.samplers import make_sampler
from concord.squash import LATENT_STRIDE

CHANNELS = 4


class TextToImage(LatentLoop):
    """Denoises a latent from noise, told of a text.

    Input: TEXT. Settings: SEED, STEPS, SAMPLER, GUIDANCE, and RESOLUTION, the picture's side. Outputs: GENERATED, a
    PNG, and TRUNCATED. Parts: ``tokenizer``, ``text_encoder``, ``unet`` and ``decoder``; if the request needs it
    ``preview``.
    """

    async def answer(self) -> Sample:
        """See `Loop`."""
        models, settings = self.request.models, self.request.settings
        told = await text_conditions(self.host, models, self.request.inputs["TEXT"], settings[GUIDANCE])
        await self.report(0)
        sampler, side = make_sampler(settings["SAMPLER"], self.steps), settings["RESOLUTION"] // LATENT_STRIDE
        latent = await denoise(
            self.host,
            models["unet"],
            sampler,
            self.noise.draw(0, (CHANNELS, side, side)) * np.float32(sampler.initial_scale),
            told.conditions,
            self.noise,
            guidance=told.guidance,
            on_step=self.telling(side, side),
        )
        picture = await self.ask("decoder", {"LATENT": latent}, "decoding")
        return {"GENERATED": await self.host.compute(encode_picture, picture), "TRUNCATED": told.truncated}
