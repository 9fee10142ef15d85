"""Blended Diffusion (Avrahami et al., CVPR 2022): a diffusion of pixels that CLIP leads to what a text says."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from concord.arrays import Floats, Pixels, as_pixels, as_signed
from concord.clip_view import edited_view
from concord.hole import HoleWindow
from concord.jpeg import encode_jpeg
from concord.limits import Limits
from concord.loops.editor import CANDIDATES, Editor, Scene
from concord.loops.host import Host, Sample, ask_network, ask_networks
from concord.loops.loop import STEPS
from concord.loops.request import LoopRequest
from concord.noise import SeededNoise
from concord.samplers.ddpm import Ddpm
from concord.view_warps import DRAWS, warps

CHANNELS, SIDE = 3, 256
WHOLE_WAY = 100
"""Steps, as published."""
SKIP, GUIDANCE, RANGE, PREVIEW = "SKIP", "GUIDANCE", "RANGE", "PREVIEW"
_ANSWERS = ("CLEAN", "VARIANCE", "GRADIENT")
_VIEWS, _STEP, _AROUND, _DRAWS_OF_A_CALL = 1, 2, 3, 3  # numbers of a call's draws behind those of the calls before
_ROUNDING = 1e-4  # of a share that came as fp32


class BlendedDiffusion(Editor):
    """From the noised picture; at every step the picture around the part is the photograph again, with noise.

    As published: the noise around the part is that of the step that was made, not of the next. What lies outside the
    part is pasted from the photograph at its own size. Of the published losses those are left out that compare the
    surroundings with the photograph, since they are not taken from the network.

    Settings, besides those of `Editor`: STEPS; SKIP, the share of them that is left out at the beginning; GUIDANCE and
    RANGE, the weights of the losses; PREVIEW. Parts, besides its own: ``tokenizer``, ``text_encoder`` and ``guidance``.
    """

    faster = "fewer STEPS, a larger SKIP or fewer CANDIDATES"

    def __init__(self, request: LoopRequest, host: Host, limits: Limits) -> None:
        super().__init__(request, host, limits)
        self._whole_way: int = request.settings[STEPS]
        skipped = min(int(request.settings[SKIP] * self._whole_way + _ROUNDING), self._whole_way - 1)
        self._made = self._whole_way - skipped
        self.steps = self._made * request.settings[CANDIDATES]

    def window(self, mask: Pixels) -> HoleWindow:
        """See `Editor`; the network takes squares of one size."""
        return HoleWindow.around(mask, SIDE, SIDE, SIDE)

    async def read(self, text: bytes) -> NDArray[np.bool_]:
        """See `Editor`."""
        models = self.request.models
        found = await self.host.ask(models["tokenizer"], {"TEXT": text}, ("TOKENS", "TRUNCATED"))
        tokens, truncated = {"TOKENS": found["TOKENS"]}, found["TRUNCATED"]
        self._text = await ask_network(self.host, models["text_encoder"], tokens, "EMBEDDING", "reading the text")
        return truncated  # type: ignore[no-any-return]

    async def draw(self, scene: Scene) -> Sequence[Floats]:
        """See `Editor`."""
        await self.report(0)
        picture = as_signed(scene.picture)
        return [await self._candidate(number, picture, scene.part) for number in range(len(self.noises))]

    def view(self, picture: Floats, part: Pixels) -> Floats:
        """See `Editor`."""
        return edited_view(np.clip(picture, 0, 1), part)

    async def _candidate(self, number: int, picture: Floats, part: Pixels) -> Floats:
        """In 0..1."""
        settings, guidance, noise = self.request.settings, self.request.models["guidance"], self.noises[number]
        sampler = Ddpm(self._whole_way, self._made)
        weights = np.array((settings[GUIDANCE], settings[RANGE]), np.float32)
        asked = {"PART": part, "TEXT_EMBEDDING": self._text, "WEIGHTS": weights}
        noisy, clean = sampler.noised(picture, noise.draw(0, picture.shape), 0), picture
        with self.host.stepping(guidance):
            for call in range(self._made):
                turned = await self.host.compute(_warps, noise, call)
                given = {"TIMESTEP": sampler.timesteps[call : call + 1], "KEPT": sampler.kept[call : call + 1]}
                inputs = {"NOISY": noisy, **given, **asked, "WARPS": turned}
                step = number * self._made + call + 1
                doing = f"step {step} of {self.steps}"
                [told] = await ask_networks(self.host, guidance, [inputs], _ANSWERS, doing)
                clean = told["CLEAN"]
                noisy = await self.host.compute(_next, sampler, noise, call, noisy, told, picture, part)
                shown = settings[PREVIEW]
                await self.report(step, await self.host.compute(_preview, clean) if shown else b"")
        return clean / 2 + np.float32(0.5)


def _warps(noise: SeededNoise, call: int) -> Floats:
    return warps(noise.uniform(_DRAWS_OF_A_CALL * call + _VIEWS, DRAWS))


def _next(
    sampler: Ddpm, noise: SeededNoise, call: int, noisy: Floats, told: Sample, picture: Floats, part: Pixels
) -> Floats:
    """The noisy picture of the next call, the photograph's own around the part."""
    own, around = (noise.draw(_DRAWS_OF_A_CALL * call + kind, noisy.shape) for kind in (_STEP, _AROUND))
    drawn = sampler.step(noisy, told["CLEAN"], told["VARIANCE"], own, call, told["GRADIENT"])
    return np.where(part > 0, drawn, sampler.noised(picture, around, call))


def _preview(clean: Floats) -> bytes:
    """fp32 [3, S, S] in -1..1 as JPEG."""
    return encode_jpeg(as_pixels(np.moveaxis(clean, 0, 2) / 2 + np.float32(0.5)))
