"""Compares a converted network with the exported one on realistic inputs."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export import calibration
from export.engine_profiles import EngineError
from export.network import Feeds
from export.onnx_file import session
from export.publication import exported

SAMPLES = 10  # held out
MOST = 1e20  # 200 dB: the same answers

Samples = Sequence[NDArray[np.floating[Any]]]
"""A network's answers, one array an output."""
Answering = Callable[[Feeds], Samples]


def compared(model: str, repository: Path, load: Callable[[], Answering], least: float) -> dict[str, Any]:
    """The `signal_to_noise` of the converted network's answers against those of the exported one.

    Args:
        load: loads the converted network, after the exported one has been freed.
        least: the smallest acceptable ratio; pictures are judged later by `concord.gates`.

    Raises:
        EngineError: the ratio is smaller.
    """
    seen = calibration.feeds(model, repository, SAMPLES, held_out=True)
    network = session(exported(repository, model))
    expected = [network.run(None, dict(feeds)) for feeds in seen]
    del network  # gigabytes, which the new form wants
    form = load()
    ratio = round(signal_to_noise(expected, map(form, seen)), 2)
    if not ratio >= least:  # also when it is NaN
        raise EngineError(
            f"{model}: it would answer with {ratio:.1f} dB of signal to noise, at least {least:g} are asked for; "
            "the repository is left as it was"
        )
    return {"least_snr_db": least, "snr_db": [ratio]}


def signal_to_noise(expected: Sequence[Samples], given: Iterable[Samples]) -> float:
    """In dB: 10 log10 of the sum of squares of the expected answers over that of the differences, of all together.

    Of the output in which it is least.
    """
    signal = noise = np.zeros(1)
    for wanted, answer in zip(expected, given, strict=True):
        exact = [each.astype(np.float64) for each in wanted]
        signal = signal + np.array([(each**2).sum() for each in exact])
        noise = noise + np.array([((one - each) ** 2).sum() for one, each in zip(answer, exact, strict=True)])
    return float(10 * np.log10(signal / np.maximum(noise, signal / MOST)).min())
