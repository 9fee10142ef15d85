"""Whether pipelines' optional encoders and decoders give the pictures of their own, after the transfer.

Each takes its place on the way of held-out pictures, as they should be, to their latent and back. The change between
the composite and what comes back is transferred to the composite, as pipelines do it.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from concord.arrays import Floats, Pixels
from concord.gates.metrics import decibels, foreground_mse
from concord.gates.pictures import SIZE, HeldOut
from concord.gates.tasks import Picture
from concord.loops.latent import preview_view
from concord.loops.window import Window
from concord.squash import squash_image, squash_mask
from concord.transfer import transfer
from concord_client.catalogue import PASSED
from export import gate_record
from export.gate_record import NOT_MADE, Gate
from export.network import Feeds
from export.onnx_file import session
from export.publication import MODEL, exported

PICTURES = 8  # of each kind
LEAST_PSNR = 30.0  # dB, over the foregrounds, from what the pipeline's own encoder and decoder give
MOST_WORSE = 0.05  # error over the foregrounds from the truth beyond theirs, as a share of the composites'


def judge(repository: Path, models: Collection[str] = (), *, new: bool = False) -> Iterator[str]:
    """Ask the gates of the pipelines beside a repository, and keep what they find; a line each.

    Args:
        models: only gates with one of these networks; of all without any.
        new: only gates that were not asked yet.
    """
    ensembles = repository.absolute().parent / "ensembles"
    pictures: HeldOut | None = None
    for gate, pipelines in gate_record.gates(ensembles).items():
        wanted = gate.part.gate == NOT_MADE if new else not models or not set(models).isdisjoint(gate.models)
        if wanted and all((repository / name / "1" / MODEL).is_file() for name in gate.models):
            pictures = pictures or HeldOut.draw(PICTURES)
            words = Way(repository, gate).words(pictures)
            gate_record.write(ensembles, gate, pipelines, words)
            yield f"{gate.part.model} as {gate.part.role}: {words}"


class Way:
    """From pictures through their latents and back, with a pipeline's own networks and with the part that is judged."""

    def __init__(self, repository: Path, gate: Gate) -> None:
        self._sessions = {name: session(exported(repository, name)) for name in gate.models}
        self._own = {"encoder": gate.encoder, "decoder": gate.decoder}
        self._judged = {**self._own, gate.place: gate.part.model}

    def words(self, pictures: HeldOut) -> str:
        """What the gate finds, in words of which the first is the verdict."""
        measured = {
            f"{len(items)} {kind}": np.mean([self.errors(each) for each in items], axis=0)
            for kind, items in (("scenes", pictures.scenes), ("photographs", pictures.photographs))
            if items
        }
        found, passed = [], True
        for kind, (before, own, *others) in measured.items():
            psnr = decibels(max(others[::2]))
            worse = (max(others[1::2]) - own) / before
            passed &= psnr >= LEAST_PSNR and worse <= MOST_WORSE  # NaN has not
            found.append(f"{kind} {psnr:.1f} dB, {worse:+.1%}")
        return (
            f"{PASSED if passed else 'failed'}: {'; '.join(found)}; allowed from {LEAST_PSNR:g} dB to the default's "
            f"foreground, up to {MOST_WORSE:+.0%} of the composite's error"
        )

    def errors(self, picture: Picture) -> list[float]:
        """Mean squared errors over the foreground: of the composite and the default from the truth, and for each way in
        which the part can be asked that from the default and that from the truth.
        """
        mask = squash_mask(picture.mask, SIZE[0])
        own = next(self._harmonized(picture, mask, self._own))
        found = [foreground_mse(each, picture.truth, picture.mask) for each in (picture.composite, own)]
        for each in self._harmonized(picture, mask, self._judged):
            found += [foreground_mse(each, other, picture.mask) for other in (own, picture.truth)]
        return found

    def _harmonized(self, picture: Picture, mask: Pixels, names: dict[str, str]) -> Iterator[Pixels]:
        """The pictures that a perfect UNet would give with these networks: of the whole latent, then of a window."""

        def encoded(pixels: Pixels) -> Any:
            return self._run(names["encoder"], {"COMPOSITE": squash_image(pixels, SIZE[0])})

        def decoded(latent: Floats) -> Any:
            return self._run(names["decoder"], {"LATENT": latent})

        latent = encoded(picture.truth)
        whole = decoded(latent)
        if whole.dtype == np.uint8:
            view = preview_view(decoded(encoded(picture.composite)), whole, mask)
            yield transfer(picture.composite, picture.mask, *view)
            return
        small = squash_image(picture.composite, SIZE[0])
        yield transfer(picture.composite, picture.mask, small, mask, whole)
        window = Window.around(mask)
        part = window.placed(decoded(window.of(latent)), len(mask))
        yield transfer(picture.composite, picture.mask, small, mask, part)

    def _run(self, name: str, feeds: Feeds) -> Any:
        return self._sessions[name].run(None, {tensor: value[np.newaxis] for tensor, value in feeds.items()})[0][0]
