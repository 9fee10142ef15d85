"""Denoising of a latent, the part that all loops of latent diffusion share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.jpeg import encode_jpeg
from concord.loops.host import Host, Sample, ask_networks
from concord.noise import SeededNoise
from concord.samplers.sampler import Sampler

Blend = Callable[[Floats, int], Floats]
"""A latent and the index of the network's call to another latent of its shape."""


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans, 2022): away from what the network says under other conditions.

    Attributes:
        scale: 1 is without guidance.
        conditions: in place of the request's own, such as the states of an empty prompt.
    """

    scale: float
    conditions: Sample


def guided(prediction: Floats, other: Floats, scale: float) -> Floats:
    """What is predicted under the wanted conditions, moved away from what is under the others."""
    return other + np.float32(scale) * (prediction - other)


async def denoise(
    host: Host,
    unet: str,
    sampler: Sampler,
    latent: Floats,
    conditions: Sample,
    noise: SeededNoise,
    *,
    kept: Mapping[str, list[Floats]] | None = None,
    guidance: Guidance | None = None,
    before: Blend | None = None,
    after: Blend | None = None,
    on_step: Callable[[int, Floats], Awaitable[None]] | None = None,
) -> Floats:
    """Takes the noise from a latent, call by call of a network.

    Args:
        unet: the network's model: ``LATENT``, ``TIMESTEP`` and the conditions to ``NOISE``.
        sampler: new; it keeps the state of one request.
        latent: fp32 [C, h, w] that the first call starts from: noise times ``sampler.initial_scale``, or
            ``sampler.noised`` of an image's latent.
        conditions: the network's other inputs, the same at each call.
        noise: draw ``i + 1`` is used at call ``i``.
        kept: other outputs of the network; what each call answers is added to their lists.
        guidance: asks for both noises in one call, as a batch of two.
        before: changes the latent ahead of a call ``i``, at whose noise level it is: a loop that blends in an image's
            own latent does so with ``sampler.noised(image, noise, i)``.
        after: changes the latent behind a call ``i``, at the noise level of the next.
        on_step: called with the number of steps done, and the latent without noise as far as that step can tell.

    Returns:
        fp32 [C, h, w] without noise.

    Raises:
        ConcordError: `NotFinite` names the step; others as `Host.ask`.
    """
    steps = sampler.step_of[-1] + 1
    kept = kept or {}
    with host.stepping(unet):
        for i, step in enumerate(sampler.step_of):
            if before is not None:
                latent = before(latent, i)
            inputs = {"LATENT": sampler.scale(latent, i), "TIMESTEP": sampler.timesteps[i : i + 1], **conditions}
            asked = [inputs] if guidance is None else [inputs, {**inputs, **guidance.conditions}]
            wanted, *other = await ask_networks(host, unet, asked, ("NOISE", *kept), f"step {step + 1} of {steps}")
            prediction = wanted["NOISE"]
            if guidance is not None:
                prediction = guided(prediction, other[0]["NOISE"], guidance.scale)
            for name, answers in kept.items():
                answers.append(wanted[name])
            estimate = sampler.estimate(latent, prediction, i)
            latent = sampler.step(latent, prediction, i, noise.draw(i + 1, latent.shape))
            if after is not None:
                latent = after(latent, i)
            is_last_of_step = step not in sampler.step_of[i + 1 : i + 2]
            if on_step is not None and is_last_of_step:
                await on_step(step + 1, estimate)
    return latent


async def draw_preview(host: Host, model: str, latent: Floats, aspect: float) -> bytes:
    """A small picture, as JPEG, of a latent fp32 [C, h, w] without noise.

    Args:
        model: ``LATENT`` to ``PREVIEW``, uint8 [h, w, 3].
        aspect: width by height of the picture; its longer side has twice the latent's pixels.
    """
    shown = await host.ask(model, {"LATENT": latent}, ("PREVIEW",))
    return await host.compute(_thumbnail, shown["PREVIEW"], aspect)


def preview_view(composite: Pixels, result: Pixels, mask: Pixels) -> tuple[Pixels, Pixels, Floats]:
    """Previews of a composite and a result, uint8 [h, w, 3], as the small pictures that `concord.transfer` wants.

    Both are as coarse, so the change between them is that of light and colour. At the edge of the mask, uint8 [S, S] of
    0 and 1, they hold both sides of it; there the change within it is carried on.
    """
    size, reach = mask.shape[::-1], mask.shape[0] // result.shape[0] // 2
    inner = cv2.erode(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    before, after = (cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (composite, result))
    small_mask = np.asarray(inner if inner.any() else mask, np.uint8)
    return np.asarray(before, np.uint8), small_mask, np.asarray(np.moveaxis(after, 2, 0), np.float32) / 255


def _thumbnail(preview: Pixels, aspect: float) -> bytes:
    longest = 2 * max(preview.shape[:2])
    size = (max(1, round(longest * min(1, aspect))), max(1, round(longest * min(1, 1 / aspect))))
    return encode_jpeg(np.asarray(cv2.resize(preview, size, interpolation=cv2.INTER_LINEAR), np.uint8))
