"""How well pictures show a text: by CLIP (Radford et al. 2021), as Blended Diffusion's authors rank what they made."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from concord.arrays import Floats, Pixels
from concord.clip_view import VIEW_SIZE
from concord.letterbox import CLIP_MEAN, CLIP_STD
from concord.loops.host import Host, ask_network

RANKER = "ranker"
"""The beginning of its parts' roles."""


def ranks(models: Mapping[str, str]) -> bool:
    """Whether these models, by role, have the parts for it."""
    return f"{RANKER}_image_encoder" in models


async def scores(host: Host, models: Mapping[str, str], text: bytes, views: Sequence[Floats]) -> Floats:
    """The cosine of the angle between CLIP's embedding of each view and that of a text, fp32 [n].

    Args:
        models: by role, ``ranker_tokenizer``: ``TEXT`` to ``TOKENS``; ``ranker_text_encoder``: those to ``EMBEDDING``;
            and ``ranker_image_encoder``: ``VIEW`` to ``EMBEDDING``.
        text: UTF-8; of a long one the beginning is read.
        views: as of `shown`.

    Raises:
        ConcordError: as `Host.ask`.
    """
    tokenizer, text_encoder, image_encoder = (
        models[f"{RANKER}_{role}"] for role in ("tokenizer", "text_encoder", "image_encoder")
    )
    tokens = (await host.ask(tokenizer, {"TEXT": text}, ("TOKENS",)))["TOKENS"]
    wanted = await ask_network(host, text_encoder, {"TOKENS": tokens}, "EMBEDDING", "reading the text")
    found = [await ask_network(host, image_encoder, {"VIEW": each}, "EMBEDDING", "ranking") for each in views]
    return np.asarray([each @ wanted for each in found], np.float32)


def shown(picture: Floats, part: Pixels) -> Floats:
    """What CLIP is shown of a picture: a part of it, on black, fp32 [3, 224, 224].

    Args:
        picture: fp32 [3, h, w] in 0..1 (clipped).
        part: uint8 [h, w] of 0 and 1.
    """
    colours = np.ascontiguousarray(np.moveaxis(np.clip(picture, 0, 1) * part, 0, 2), np.float32)
    small = cv2.resize(colours, (VIEW_SIZE, VIEW_SIZE), interpolation=cv2.INTER_AREA)
    mean, deviation = (np.array(each, np.float32) for each in (CLIP_MEAN, CLIP_STD))
    return np.asarray(np.moveaxis((small - mean) / deviation, 2, 0), np.float32)
