"""AttnGAN's text encoder: the words of a caption to their features and the whole caption's (Xu et al., CVPR 2018).

State-dict compatible with the authors' `text_encoder200.pth` (birds) and `text_encoder100.pth` (COCO).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from concord.repository.profiles import PROFILES
from concord.word_vocabulary import LONGEST
from export.network import Network, ServedTensor, Serving
from export.state_dict import StateDict

FEATURES = 256
TOKENS = (ServedTensor("TOKENS", "INT64", (LONGEST,)), ServedTensor("LENGTH", "INT64", (1,)))
TEXT = (ServedTensor("WORDS", "FP32", (FEATURES, LONGEST)), ServedTensor("SENTENCE", "FP32", (FEATURES,)))
_COCO, _BIRDS = 27297, 5450


@dataclass(frozen=True)
class AttnGanTextConfig:
    """Words of the vocabulary, and channels of each; the defaults are those for COCO."""

    vocabulary: int = _COCO
    embedding: int = 300


class AttnGanTextEncoder(nn.Module):
    """Tokens int64 [B,L] and lengths int64 [B] to features of words [B,256,L], 0 behind the end, and sentence [B,256].

    A bidirectional LSTM over captions of several lengths. Its backward direction reads each caption from its own last
    word, so that no sequence is packed and the graph has no data-dependent shape.
    """

    def __init__(self, config: AttnGanTextConfig) -> None:
        super().__init__()
        self.encoder = nn.Embedding(config.vocabulary, config.embedding)
        self.rnn = nn.LSTM(config.embedding, FEATURES // 2, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        place = torch.arange(tokens.shape[1], device=tokens.device)
        inside = place < lengths[:, None]
        turned = torch.where(inside, lengths[:, None] - 1 - place, place)
        embedded = self.encoder(tokens)
        backward_input = embedded.gather(1, turned[:, :, None].expand_as(embedded))
        forward = self._run(embedded, inside, "l0")
        backward = self._run(backward_input, inside, "l0_reverse")
        last = (lengths - 1)[:, None, None].expand(-1, 1, FEATURES // 2)
        sentence = torch.cat((forward.gather(1, last), backward.gather(1, last)), 2)[:, 0]
        words = torch.cat((forward, backward.gather(1, turned[:, :, None].expand_as(backward))), 2)
        return (words * inside[:, :, None]).transpose(1, 2), sentence

    def _run(self, values: Tensor, inside: Tensor, direction: str) -> Tensor:
        """The states [B,L,128] of one direction, from the first place on."""
        weight, recurrent, bias, other = (
            getattr(self.rnn, f"{name}_{direction}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        given = values @ weight.T + (bias + other)
        state = cell = values.new_zeros(values.shape[0], FEATURES // 2)
        states = []
        for step in range(values.shape[1]):
            enter, forget, new, out = (given[:, step] + state @ recurrent.T).chunk(4, 1)
            cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = out.sigmoid() * cell.tanh()
            states.append(state)
        return torch.stack(states, 1) * inside[:, :, None]


class ServedAttnGanTextEncoder(nn.Module):
    """As the network, with lengths int64 [B,1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        words, sentence = self.network(tokens, length[:, 0])
        return words, sentence


def draw(batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Captions of several lengths; the words are among those of every vocabulary."""
    lengths = torch.randint(1, LONGEST + 1, (batch, 1), generator=generator)
    tokens = torch.randint(1, 10, (batch, LONGEST), generator=generator)
    return torch.where(torch.arange(LONGEST) < lengths, tokens, 0), lengths


def published_sizes(weights: Mapping[str, Tensor]) -> AttnGanTextConfig:
    """The vocabulary is that of the captions with which the authors' checkpoint was trained, of any number of words."""
    table = weights.get("encoder.weight")
    return AttnGanTextConfig() if table is None or table.ndim != 2 else AttnGanTextConfig(*table.shape)


NETWORK = Network(
    name="attngan_text_encoder",
    inputs=TOKENS,
    outputs=TEXT,
    draw=draw,
    published={
        "attngan_text_encoder_coco": lambda: AttnGanTextEncoder(AttnGanTextConfig()),
        "attngan_text_encoder_bird": lambda: AttnGanTextEncoder(AttnGanTextConfig(_BIRDS)),
    },
    golden=("attngan_text_encoder_coco",),
    serving=Serving(batch=4, profiles=[name for name in PROFILES if name not in ("bf16", "int8", "fp16")]),
)
SOURCE = StateDict(
    claims=lambda keys: {"encoder.weight", "rnn.weight_ih_l0", "rnn.weight_ih_l0_reverse"} <= set(keys),
    published=published_sizes,
    build=AttnGanTextEncoder,
    served=ServedAttnGanTextEncoder,
)
