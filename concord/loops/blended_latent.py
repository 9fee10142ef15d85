"""Blended Latent Diffusion (Avrahami et al., SIGGRAPH 2023): a text-to-image diffusion that repaints a part alone."""

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels
from concord.limits import Limits
from concord.loops.editor import CANDIDATES, Editor, Scene
from concord.loops.host import Host
from concord.loops.latent import denoise
from concord.loops.latent_loop import LatentLoop
from concord.loops.loop import STEPS
from concord.loops.request import LoopRequest
from concord.loops.text_conditions import GUIDANCE, TextConditions, text_conditions
from concord.samplers.ddim import Ddim
from concord.squash import LATENT_STRIDE

SKIP, DILATION = "SKIP", "DILATION"
_ROUNDING = 1e-4  # of a share that came as fp32


class BlendedLatent(Editor, LatentLoop):
    """From the noised latent of what is there; at every step the latent around the part is the photograph's own again.

    As published on latent diffusion's `text2img-large`: it is blended in ahead of each call of the network, and for
    thin parts the mask shrinks to its own shape on the way. What the published code adds after that, training the
    decoder for each picture until the surroundings look as they did, is not done: they are not taken from the decoder.

    Settings, besides those of `Editor`: STEPS; SKIP, the share of them that is left out at the beginning; GUIDANCE;
    DILATION, how many wider masks there are before the own one; PREVIEW. Parts, besides its own: ``tokenizer``,
    ``text_encoder``, ``encoder``, ``unet``, ``decoder`` and, for previews, ``preview``.

    Attributes:
        is_blended_after: whether the photograph's latent is blended in behind each call, with the noise of that call.
    """

    multiple = 8 * LATENT_STRIDE
    trained = 256
    faster = "fewer STEPS, fewer CANDIDATES or a smaller RESOLUTION"
    is_blended_after: ClassVar[bool] = False

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        self._whole_way: int = request.settings[STEPS]
        self._skipped = min(int(request.settings[SKIP] * self._whole_way + _ROUNDING), self._whole_way - 1)
        self.steps = (self._whole_way - self._skipped) * request.settings[CANDIDATES]

    async def read(self, text: bytes) -> NDArray[np.bool_]:
        """See `Editor`."""
        settings = self.request.settings
        self._text: TextConditions = await text_conditions(self.host, self.request.models, text, settings[GUIDANCE])
        return self._text.truncated

    async def draw(self, scene: Scene) -> Sequence[Floats]:
        """See `Editor`."""
        await self.report(0)
        given = {"COMPOSITE": scene.picture}
        source = await self.ask("encoder", given, "encoding the picture", "COMPOSITE_LATENT")
        masks = shrinking(latent_part(scene.part), self.request.settings[DILATION])
        return [await self._candidate(number, source, masks) for number in range(len(self.noises))]

    async def _candidate(self, number: int, source: Floats, masks: Sequence[Floats]) -> Floats:
        noise, sampler = self.noises[number], Ddim(self._whole_way, self._skipped)
        calls, tell = len(sampler.timesteps), self.telling(*source.shape[1:])

        def blend(latent: Floats, call: int) -> Floats:
            around = sampler.noised(source, noise.draw(call + 1, source.shape), call)
            return np.where(masks[stage(call, calls, len(masks))] > 0, latent, around)

        async def tell_all(step: int, estimate: Floats) -> None:
            await tell(number * calls + step, estimate)

        latent = await denoise(
            self.host,
            self.request.models["unet"],
            sampler,
            sampler.noised(source, noise.draw(0, source.shape), 0),
            self._text.conditions,
            noise,
            guidance=self._text.guidance,
            before=None if self.is_blended_after else blend,
            after=blend if self.is_blended_after else None,
            on_step=tell_all,
        )
        return await self.ask("decoder", {"LATENT": latent}, "decoding")


class BlendedStableDiffusion(BlendedLatent):
    """As published on Stable Diffusion: blended in behind each call, with the noise of that call.

    Of the two published scripts that for Stable Diffusion XL begins with the photograph's noised latent, as here; that
    for Stable Diffusion 2 begins with noise alone, though it skips the steps that would have begun to take it away.
    """

    trained = 512
    is_blended_after = True


def latent_part(part: Pixels) -> Floats:
    """A part, uint8 [h, w] of 0 and 1, for the latents: fp32 [1, h/8, w/8] of 0 and 1.

    By the pixel in the middle of each cell, which is Pillow's ``NEAREST``, as published; a part that this loses
    altogether has the cells that it lies in.
    """
    height, width = (side // LATENT_STRIDE for side in part.shape)
    cells = part[LATENT_STRIDE // 2 :: LATENT_STRIDE, LATENT_STRIDE // 2 :: LATENT_STRIDE]
    if not cells.any():
        cells = part.reshape(height, LATENT_STRIDE, width, LATENT_STRIDE).max(axis=(1, 3))
    return cells.astype(np.float32)[np.newaxis]


def shrinking(mask: Floats, wider: int) -> list[Floats]:
    """Masks fp32 [1, h, w] of 0 and 1 from the widest to the own one: squares of 3, 5, 7... cells are put around it."""
    kernels = (np.ones((3 + 2 * number,) * 2, np.uint8) for number in reversed(range(wider)))
    return [*(np.asarray(cv2.dilate(mask[0], kernel), np.float32)[np.newaxis] for kernel in kernels), mask]


def stage(call: int, calls: int, masks: int) -> int:
    """Which of several masks a call has, as published: of few calls none may have the last.

    What is drawn outside the mask that was given is not taken in any case.
    """
    return call // (calls // masks + 1)
