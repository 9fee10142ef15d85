"""The text encoder's states for the empty prompt, the only prompt of DiffHarmony."""

from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from concord.tokenizer import END, START
from export import checkpoint
from export.checkpoint import CheckpointError

NAME = "states"
SIZES = {  # CLIP ViT-L/14, the text encoder of Stable Diffusion 1; the rest are transformers' defaults
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
}


def stored(weights: dict[str, Tensor]) -> Tensor:
    """States FP32 [n, d] kept under the name `states`.

    Raises:
        CheckpointError: no such tensor.
    """
    states = weights.get(NAME)
    if states is None or states.ndim != 2:
        raise CheckpointError(f"holds no tensor {NAME!r} [tokens, width]")
    return states


def encoded(config: dict[str, Any] | None, weights: dict[str, Tensor]) -> Tensor:
    """States FP32 [n, d] of a text encoder's last layer, normalised: the start token, and as many ends as fit.

    Stable Diffusion 1 pads with the end.

    Raises:
        CheckpointError: the config is not usable, or the weights do not fit it.
    """
    try:
        sizes = CLIPTextConfig.from_dict(config or SIZES)
        with torch.device("meta"):
            encoder = CLIPTextModel(sizes)
    except Exception as error:  # transformers raises nearly anything for sizes that do not go together
        raise CheckpointError(f"its config is not usable ({checkpoint.first_line(error)})") from error
    if sizes.vocab_size <= END:
        raise CheckpointError(f"the text encoder knows {sizes.vocab_size} tokens, CLIP has {END + 1}")
    # Older files have the class's own prefix, and position ids, which are counted and not learned.
    bare = {key.removeprefix("text_model."): value for key, value in weights.items() if "position_ids" not in key}
    checkpoint.load(encoder, bare, assign=True)
    length = sizes.max_position_embeddings
    encoder.embeddings.register_buffer("position_ids", torch.arange(length)[None], persistent=False)
    with torch.no_grad():
        states: Tensor = encoder.eval()(torch.tensor([[START] + [END] * (length - 1)])).last_hidden_state[0]
    return states
