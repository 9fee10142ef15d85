"""Inputs that a network sees in service: what its INT8 form is calibrated on, and held out, what it is judged on."""

from collections.abc import Iterator, Mapping
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from concord.letterbox import letterbox
from concord.noise import SeededNoise
from concord.samplers import make_sampler
from concord.scenes.photographs import HELD_OUT_FROM
from concord.scenes.scene import Scene, make_scene
from concord.squash import latent_mask, squash_image, squash_mask
from concord.tokenizer import Tokenizer
from export.engine_profiles import EngineError, fits, written
from export.onnx_file import session
from export.publication import exported

Feeds = dict[str, NDArray[np.generic]]

LEAST = 8
RESOLUTION = 256  # pixels: ranges of activations hardly depend on it, the time does
STEPS = 5
TRAINING_FROM = 500_000


def scenes(held_out: bool) -> Iterator[Scene]:
    """Generated scenes without end."""
    return map(make_scene, count(HELD_OUT_FROM if held_out else TRAINING_FROM))


def feeds(model: str, repository: Path, number: int, held_out: bool = False) -> list[Feeds]:
    """So many inputs of a model, one of `MAKERS`, batch 1, made from scenes as the served pipelines make them.

    Args:
        repository: has the networks that run before this one.

    Raises:
        EngineError: it lacks one of them.
    """
    return [
        {name: value[np.newaxis] for name, value in sample.items()}
        for sample in islice(MAKERS[model](scenes(held_out), repository), number)
    ]


def read(path: Path, inputs: Mapping[str, tuple[int, ...]]) -> list[Feeds]:
    """Inputs from an `.npz` file: an array [N, ...] for each input.

    Args:
        inputs: shapes, batch first; -1 is any size.

    Raises:
        EngineError: the file cannot be read, or does not hold at least `LEAST` samples of every input's shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise EngineError(f"{path}: not a file of arrays ({error})") from error
    if arrays.keys() != inputs.keys():
        raise EngineError(f"{path}: has the inputs {sorted(arrays)}, the network has {sorted(inputs)}")
    for name, array in arrays.items():
        shape = inputs[name]
        if array.ndim != len(shape) or not all(map(fits, array.shape[1:], shape[1:])):
            raise EngineError(f"{path}: {name} is {written(array.shape)}, the network takes {written(shape)}")
    numbers = {name: len(array) for name, array in arrays.items()}
    if len(set(numbers.values())) > 1 or min(numbers.values()) < LEAST:
        raise EngineError(f"{path}: has {numbers} samples; at least {LEAST} are needed, of every input as many")
    return [{name: array[n : n + 1] for name, array in arrays.items()} for n in range(min(numbers.values()))]


def cris(seen: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite, and its expression."""
    tokenizer = Tokenizer.load()
    for scene in seen:
        tokens, _ = tokenizer.encode(scene.expression.encode())
        yield {"CRIS_IMAGE": letterbox(scene.composite), "TOKENS": tokens}


def dht(seen: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite, and its mask."""
    for scene in seen:
        yield {"COMPOSITE": squash_image(scene.composite), "COMPOSITE_MASK": squash_mask(scene.mask)}


def vae_encoder(seen: Iterator[Scene], _repository: Path) -> Iterator[Feeds]:
    """A scene's composite."""
    for scene in seen:
        yield {"COMPOSITE": squash_image(scene.composite, RESOLUTION)}


def vae_decoder(seen: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """The latents of scenes as they should be."""
    encoder = session(exported(repository, "vae_encoder"))
    for scene in seen:
        [latent] = encoder.run(None, {"COMPOSITE": squash_image(scene.truth, RESOLUTION)[np.newaxis]})
        yield {"LATENT": latent[0]}


def unet(seen: Iterator[Scene], repository: Path) -> Iterator[Feeds]:
    """Every step of a diffusion of each scene."""
    encoder, network = (session(exported(repository, name)) for name in ("vae_encoder", "unet"))
    for scene in seen:
        [composite] = encoder.run(None, {"COMPOSITE": squash_image(scene.composite, RESOLUTION)[np.newaxis]})
        mask = latent_mask(squash_mask(scene.mask, RESOLUTION))
        sampler, noise = make_sampler("euler_ancestral", STEPS), SeededNoise(0)
        latent = noise.draw(0, composite.shape) * np.float32(sampler.initial_scale)
        for step, timestep in enumerate(sampler.timesteps):
            sample: Feeds = {
                "LATENT": sampler.scale(latent, step)[0],
                "TIMESTEP": np.array([timestep], np.float32),
                "LATENT_MASK": mask,
                "COMPOSITE_LATENT": composite[0],
            }
            yield sample
            [predicted] = network.run(None, {name: value[np.newaxis] for name, value in sample.items()})
            latent = sampler.step(latent, predicted, step, noise.draw(step + 1, composite.shape))


MAKERS = {"cris": cris, "dht": dht, "vae_encoder": vae_encoder, "unet": unet, "vae_decoder": vae_decoder}
