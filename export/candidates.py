"""Networks that are published together: all of them are exported and checked before one replaces what is served."""

import gc
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL
from torch import nn

from concord import processor
from export.arguments import add_form
from export.network import Network
from export.networks import latent_preview, vae_decoder, vae_encoder
from export.networks.latent_preview import ServedLatentPreview
from export.networks.vae_decoder import ServedVaeDecoder
from export.networks.vae_encoder import ServedVaeEncoder
from export.onnx_file import Answers, answers, verify, write
from export.publication import Staged
from export.runtime_form import Form, rewrite


@dataclass(frozen=True)
class Candidate:
    """A network that is ready to be written: what its file must answer, and what its record says."""

    model: Network
    network: nn.Module
    expected: list[Answers]
    record: dict[str, Any]


def add_unet_form(parser: ArgumentParser) -> None:
    """The form of graphs that run at every step."""
    # ONNX Runtime's direct convolutions are slow on processors; GPUs have fast ones, and so has OpenVINO, in BF16.
    fast = processor.kinds()[0] in (processor.CUDA, *processor.BF16)
    add_form(parser, convolution="direct" if fast else "winograd")


def publish(candidates: Iterable[Candidate], repository: Path, origin: dict[str, Any]) -> None:
    """Export and check each, and only then replace those that are served; prints what it does.

    The networks are used up: their weights are let go as soon as they are written.

    Raises:
        CheckFailed: an export is not exact. As with any other error, nothing was replaced.
    """
    with ExitStack() as stack:
        stages = []
        for candidate in candidates:
            model = candidate.model
            staged = stack.enter_context(Staged(repository, model.name))
            stages.append(staged)
            write(staged, candidate.network, model)
            candidate.network.to("meta")
            gc.collect()
            for difference in verify(staged, model, candidate.expected, origin | candidate.record):
                print(f"{model.name}: {difference}", flush=True)
        for staged in stages:
            staged.switch()
    print(f"now served: {', '.join(staged.name for staged in stages)}")


def vae(
    found: AutoencoderKL,
    form: Form,
    models: tuple[Network, Network, Network] = (vae_encoder.NETWORK, vae_decoder.NETWORK, latent_preview.NETWORK),
) -> Iterator[Candidate]:
    """See `autoencoder`."""
    record = {"network": "AutoencoderKL", "config": published(found.config)}
    return autoencoder(*served_vae(found), record, partial(rewrite, form=form), models)


def autoencoder(
    encoder: nn.Module,
    decoder: nn.Module,
    record: dict[str, Any],
    rewriting: Callable[[nn.Module], None],
    models: tuple[Network, Network, Network],
) -> Iterator[Candidate]:
    """Encoder and decoder, rewritten for the runtime once the originals have answered; the preview fitted to them."""
    *halves, shown = models
    weight, bias, error = latent_preview.fit(encoder)
    for model, network in zip(halves, (encoder, decoder), strict=True):
        expected = answers(network, model.samples())
        rewriting(network)
        yield Candidate(model, network, expected, record)
    preview = ServedLatentPreview(weight, bias)
    expected = answers(preview, shown.samples())
    yield Candidate(shown, preview, expected, {"network": "linear map", "error_grey_levels": round(error, 2)})


def served_vae(found: AutoencoderKL) -> tuple[ServedVaeEncoder, ServedVaeDecoder]:
    """As they are served."""
    factor = found.config.scaling_factor
    return (
        ServedVaeEncoder(found.encoder, found.quant_conv, factor),
        ServedVaeDecoder(found.decoder, found.post_quant_conv, factor),
    )


def published(config: Any) -> dict[str, Any]:
    """A diffusers config without the entries that diffusers itself put there."""
    return {key: value for key, value in dict(config).items() if not key.startswith("_")}
