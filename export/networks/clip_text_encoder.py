"""CLIP's tower for texts: what a text says, as a vector that lies near those of pictures that show it."""

import torch.nn.functional as F
from torch import Tensor, nn

from concord.tokenizer import PROMPT_LENGTH
from export.network import Network, NotPublished, ServedTensor, Serving
from export.networks.clip import Clip
from export.networks.openai_clip import EMBEDDING, PROFILED
from export.networks.text_encoder import draw


class ServedClipTextEncoder(nn.Module):
    """`tokens` int64 [B,77] to the text's embedding FP32 [B,512], of length 1; what is behind the end is not read."""

    def __init__(self, network: Clip) -> None:
        super().__init__()
        self.clip = network

    def forward(self, tokens: Tensor) -> Tensor:
        _, embedding = self.clip.encode_text(tokens)
        return F.normalize(embedding, dim=-1)


NETWORK = Network(
    name="clip_text_encoder",
    inputs=(ServedTensor("TOKENS", "INT64", (PROMPT_LENGTH,)),),
    outputs=(ServedTensor("EMBEDDING", "FP32", (EMBEDDING,)),),
    draw=draw,
    golden=NotPublished("it is compared with open_clip's own modules"),
    serving=Serving(batch=4, profiles=PROFILED),
)
