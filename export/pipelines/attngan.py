"""AttnGAN and ALR-GAN: a text encoder, a generator and the words of their captions, from three files."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from concord.word_vocabulary import FILE, dump
from concord_client.atomic_file import write_atomically
from export import candidates, checkpoint
from export.arguments import add_repository
from export.candidates import Candidate
from export.captions import read_words
from export.checkpoint import Checkpoint, CheckpointError, named
from export.network import Network
from export.networks import attngan_generator, attngan_text_encoder, elsewhere
from export.networks.attngan_generator import AttnGanConfig
from export.onnx_file import answers
from export.state_dict import StateDict

WRAPPER = "netG."
"""In front of the generator's keys in files that a trainer wrote."""


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys is one of those."""
    return attngan_generator.SOURCE.claims(unwrapped(keys).values()) or attngan_text_encoder.SOURCE.claims(keys)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument(
        "--generator", type=Path, required=True, metavar="FILE", help="coco_AttnGAN2.pth or bird_AttnGAN2.pth"
    )
    parser.add_argument(
        "--text-encoder", type=Path, required=True, metavar="FILE", help="text_encoder100.pth or text_encoder200.pth"
    )
    parser.add_argument("--captions", type=Path, required=True, metavar="FILE", help="captions.pickle of the same data")
    parser.add_argument(
        "--layout",
        type=Path,
        metavar="FILE",
        help="JSON with the beginnings of other keys and of those here, as ALR-GAN's generator may have: "
        '{"netG.h_net1.": "h_net1."}',
    )


def run(arguments: Namespace) -> None:
    """Read, export both networks, check, replace.

    Raises:
        CheckpointError: a file is not of its kind, or the three do not belong together.
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    layout = read_layout(arguments.layout) if arguments.layout else {}
    generator = read(arguments.generator, attngan_generator.SOURCE, "AttnGAN's generator", layout)
    encoder = read(arguments.text_encoder, attngan_text_encoder.SOURCE, "AttnGAN's text encoder", {})
    words = read_words(arguments.captions)
    sizes: Any = attngan_generator.SOURCE.sizes(generator)
    rows = len(encoder.weights["encoder.weight"])
    if rows != len(words):
        raise CheckpointError(f"{arguments.captions}: has {len(words)} words, and the text encoder {rows}")
    parts: list[tuple[Network, StateDict[Any], Checkpoint]] = [
        (attngan_text_encoder.NETWORK, attngan_text_encoder.SOURCE, encoder),
        (attngan_generator.NETWORK, attngan_generator.SOURCE, generator),
    ]
    loaded = [(model, named(found.path, partial(source.load, found))) for model, source, found in parts]

    def networks() -> Iterator[Candidate]:
        for model, each in loaded:
            yield Candidate(model, each.network, answers(each.network, model.samples()), each.record)

    candidates.publish(networks(), arguments.model_repository, {})
    vocabulary = arguments.model_repository / attngan_generator.LOOKUP / "1" / FILE
    vocabulary.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(vocabulary, dump([word.lower() for word in words], longest(sizes)))


def longest(sizes: AttnGanConfig) -> int:
    """The most words of a caption; those of COCO where the sizes are none that are published."""
    return attngan_generator.WORDS.get(sizes, attngan_generator.WORDS[attngan_generator.COCO])


def read(path: Path, source: StateDict[Any], what: str, layout: dict[str, str]) -> Checkpoint:
    """A checkpoint of this source, its keys in the authors' layout.

    Raises:
        CheckpointError: it is another network's, which is named.
    """
    found = checkpoint.read(path)
    names = renamed(found.weights, layout) if layout else unwrapped(found.weights)
    if not source.claims(names.values()):
        raise CheckpointError(f"{path}: not a checkpoint of {what}{elsewhere(found.weights)}")
    return replace(found, weights={name: found.weights[key] for key, name in names.items()})


def unwrapped(keys: Collection[str]) -> dict[str, str]:
    """By key the name without the trainer's wrapper."""
    return {key: key.removeprefix(WRAPPER) for key in keys}


def renamed(keys: Collection[str], layout: dict[str, str]) -> dict[str, str]:
    """By key the name that the layout gives it: of beginnings that fit, the longest is replaced.

    Raises:
        CheckpointError: two keys get the same name.
    """
    names = {}
    for key in keys:
        begin = max((each for each in layout if key.startswith(each)), key=len, default="")
        names[key] = layout.get(begin, "") + key.removeprefix(begin)
    if len(set(names.values())) < len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise CheckpointError(f"the layout gives two keys the name {twice}")
    return names


def read_layout(path: Path) -> dict[str, str]:
    """The layout of a JSON file; CheckpointError where it is no object of texts."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable as JSON ({checkpoint.first_line(error)})") from error
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise CheckpointError(f"{path}: not an object of texts, the beginnings of keys and what stands for them")
    return found
