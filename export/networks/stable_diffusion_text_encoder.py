"""CLIP's text encoder for text-to-image Stable Diffusion 1 and 2."""

from dataclasses import replace
from pathlib import Path

from concord.tokenizer import EMPTY_PROMPT, PROMPT_LENGTH, Tokenizer
from export.network import ServedTensor
from export.networks import text_encoder
from export.networks.text_unet import Texts

WIDTH = 1024  # Stable Diffusion 2's
STATES = ServedTensor("STATES", "FP32", (PROMPT_LENGTH, WIDTH))

NETWORK = replace(text_encoder.NETWORK, name="stable_diffusion_text_encoder", outputs=(STATES,))


def texts(_repository: Path) -> Texts:
    """What reads a text, and the tokens of none."""
    tokenizer = Tokenizer.load()
    return lambda text: text_encoder.prompt(text, tokenizer), EMPTY_PROMPT
