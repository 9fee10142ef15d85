"""What the network of a text-to-image diffusion is told: the states of a text, and for guidance those of no text."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from concord.loops.host import Host, Sample, ask_networks
from concord.loops.latent import Guidance

GUIDANCE = "GUIDANCE"
Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class TextConditions:
    """A text as `concord.loops.latent.denoise` takes it.

    Attributes:
        conditions: of the text: ``STATES`` fp32 [n, d].
        guidance: away from those of the empty text; None where the scale is 1.
        truncated: bool [1], whether only the beginning of the text was read.
    """

    conditions: Sample
    guidance: Guidance | None
    truncated: NDArray[np.bool_]


async def text_conditions(host: Host, models: Mapping[str, str], text: bytes, scale: float) -> TextConditions:
    """Reads a text; for guidance the empty text goes through the encoder with it, in one call.

    Args:
        models: by role, ``tokenizer``: ``TEXT`` to ``TOKENS``, ``EMPTY_TOKENS`` and ``TRUNCATED``; and
            ``text_encoder``: ``TOKENS`` to ``STATES``.
        text: UTF-8.
        scale: of the guidance; 1 is without.

    Raises:
        ConcordError: `InvalidText` for a text that cannot be read; others as `Host.ask`.
    """
    found = await host.ask(models["tokenizer"], {"TEXT": text}, ("TOKENS", "EMPTY_TOKENS", "TRUNCATED"))
    tokens, empty = found["TOKENS"], found["EMPTY_TOKENS"]
    conditions, guidance = await token_conditions(host, models["text_encoder"], tokens, empty, scale)
    return TextConditions(conditions, guidance, found["TRUNCATED"])


async def token_conditions(
    host: Host, text_encoder: str, tokens: Tokens, empty_tokens: Tokens, scale: float
) -> tuple[Sample, Guidance | None]:
    """The same of a text's tokens int64 [n], and those of the empty text: its conditions, and the guidance.

    Raises:
        ConcordError: as `Host.ask`.
    """
    asked = [{"TOKENS": each} for each in ([tokens] if scale == 1 else [tokens, empty_tokens])]
    states, *empty = await ask_networks(host, text_encoder, asked, ("STATES",), "reading the text")
    return states, Guidance(scale, empty[0]) if empty else None
