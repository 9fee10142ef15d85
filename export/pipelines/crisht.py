"""CRISHT: CRIS and a Harmony Transformer as one network, from two checkpoints or from one with the keys of both."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from export import checkpoint
from export.arguments import add_repository
from export.checkpoint import Checkpoint, CheckpointError, named
from export.network import Loaded, Network
from export.networks import cris, crisht, every, harmony_transformer
from export.networks.crisht import Crisht
from export.onnx_file import publish
from export.state_dict import StateDict

MARK = "backbone.visual.conv1.weight"
CRIS_CHILDREN = ("backbone", "neck", "decoder", "proj")


def claims(keys: Collection[str]) -> bool:
    """Whether a checkpoint with these keys holds CRIS and more than CRIS."""
    _, rest = divided(keys)
    return any(key.endswith(MARK) for key in keys) and bool(rest)


def add_arguments(parser: ArgumentParser) -> None:
    add_repository(parser)
    parser.add_argument("--cris", type=Path, metavar="FILE", help="checkpoint of CRIS")
    parser.add_argument("--dht", type=Path, metavar="FILE", help="checkpoint of DHT or HT, of either generation")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="instead of both: one with the keys of both")


def run(arguments: Namespace) -> None:
    """Read both, export, check, replace.

    Raises:
        CheckpointError: names the file that is missing, too many, or not what it should be.
        CheckFailed: the export is not exact.
    """
    segmenter, harmonizer = checkpoints(arguments)
    found, harmonizing = loaded(segmenter, [cris.NETWORK]), loaded(harmonizer, harmonizers())
    network = Crisht(found.network, harmonizing.network)
    record = {"network": type(network).__name__, "cris": found.record, "harmonizer": harmonizing.record}
    for difference in publish(network, crisht.NETWORK, arguments.model_repository, record):
        print(f"{crisht.NETWORK.name}: {difference}", flush=True)
    print(f"now served: {crisht.NETWORK.name}")


def checkpoints(arguments: Namespace) -> tuple[Checkpoint, Checkpoint]:
    """The checkpoints of CRIS and of a harmonizer.

    Raises:
        CheckpointError: names the file that is missing, too many, or not what it should be.
    """
    files = {"--cris": arguments.cris, "--dht": arguments.dht}
    missing = [flag for flag, path in files.items() if path is None]
    if arguments.checkpoint and len(missing) < 2:
        given = next(flag for flag in files if flag not in missing)
        raise CheckpointError(f"both --checkpoint and {given} are given; it is one file, or --cris and --dht")
    if arguments.checkpoint:
        return both(checkpoint.read(arguments.checkpoint))
    if missing:
        raise CheckpointError(f"{' and '.join(missing)} is missing; give --cris and --dht, or --checkpoint")
    return checkpoint.read(arguments.cris), checkpoint.read(arguments.dht)


def harmonizers() -> list[Network]:
    """The Harmony Transformers."""
    return [
        network
        for network in every()
        if isinstance(network.source, StateDict) and network.source.build is harmony_transformer.build
    ]


def loaded(found: Checkpoint, networks: Collection[Network]) -> Loaded:
    """The network of a checkpoint, which is that of one of these declarations.

    Raises:
        CheckpointError: it is of none, or does not fit.
    """
    for network in networks:
        source: Any = network.source
        if source.claims(found.weights):
            result: Loaded = named(found.path, partial(source.load, found))
            return result
    names = ", ".join(network.name for network in networks)
    raise CheckpointError(f"{found.path}: not a checkpoint of {names}")


def both(found: Checkpoint) -> tuple[Checkpoint, Checkpoint]:
    """The two checkpoints in one, with prefixes or without; `config` has the sizes of both, `cris` and `harmonizer`.

    Raises:
        CheckpointError: the keys of one are missing.
    """
    own, rest = divided(found.weights)
    if not own or not rest:
        missing = "a harmonizer" if own else f"CRIS (...{MARK})"
        raise CheckpointError(f"{found.path}: has no keys of {missing}")
    sizes = json.loads(found.config) if found.config else {}
    first, *_ = {key.partition(".")[0] for key in rest}
    prefix = f"{first}." if all(key.startswith(f"{first}.") for key in rest) else ""
    return (
        part(found, own, sizes.get("cris")),
        part(found, {key: key.removeprefix(prefix) for key in rest}, sizes.get("harmonizer")),
    )


def part(found: Checkpoint, names: dict[str, str], sizes: Any) -> Checkpoint:
    """Some of the weights, under other names."""
    weights = {name: found.weights[key] for key, name in names.items()}
    return replace(found, weights=weights, config=json.dumps(sizes) if sizes else "")


def divided(keys: Collection[str]) -> tuple[dict[str, str], dict[str, str]]:
    """CRIS's keys, by key the name without their prefix, and all others."""
    mark = next((key for key in keys if key.endswith(MARK)), None)
    if mark is None:
        return {}, {key: key for key in keys}
    prefix = mark.removesuffix(MARK)
    own = {
        key: key.removeprefix(prefix)
        for key in keys
        if key.startswith(prefix) and key.removeprefix(prefix).partition(".")[0] in CRIS_CHILDREN
    }
    return own, {key: key for key in keys if key not in own}
