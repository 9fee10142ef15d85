"""What is known of the variants of a network by kind of processor: how close their answers are, and how fast they are.

It stands in `FILE` beside the exported network, for the network's file that it was seen of.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from concord.record import read_record
from concord.variants import Variant
from concord_client.atomic_file import write_atomically

FILE = "judged.json"
LEAST_SNR = {"fp32": 60.0, "fp16": 30.0, "bf16": 30.0, "int8": 12.0}
"""By precision the smallest acceptable signal-to-noise ratio of a network's answers in dB; pictures say more."""
_NETWORK = "onnx_sha256"


@dataclass(frozen=True)
class Judged:
    """A variant on one kind of processor.

    Attributes:
        snr_db: signal-to-noise ratio of its answers against the default's.
        least_snr_db: the smallest acceptable one.
        time: its time over the default's, on the same processor in turns.
        machine: where it was seen.
        pictures: how many pictures of each kind its pipelines were judged on; 0 if they were not.
        failed: what those pictures failed, in words.
    """

    snr_db: float
    least_snr_db: float
    time: float
    machine: Mapping[str, Any] = field(default_factory=dict)
    pictures: int = 0
    failed: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """NaN has not."""
        return self.snr_db >= self.least_snr_db and not self.failed


def read(variant: Variant, kinds: Iterable[str]) -> Judged | None:
    """What is known of a variant on the first of these kinds of processor of which anything is known; else None.

    What was seen of another file than the network's record tells of does not count.
    """
    record = _of_network(variant)
    for kind in kinds:
        try:
            seen = Judged(**record[variant.profile][kind])
            return replace(seen, failed=tuple(seen.failed))
        except (KeyError, TypeError):
            continue
    return None


def write(variant: Variant, kind: str, judged: Judged) -> None:
    """Adds what was seen of a variant to the file; raises OSError."""
    record = _of_network(variant)
    record.setdefault(variant.profile, {})[kind] = asdict(judged)
    content = {_NETWORK: _digest(variant), "profiles": record}
    write_atomically(variant.version / FILE, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())


def _of_network(variant: Variant) -> dict[str, Any]:
    content = read_record(variant.version / FILE)
    profiles = content.get("profiles")
    return profiles if isinstance(profiles, dict) and content.get(_NETWORK) == _digest(variant) else {}


def _digest(variant: Variant) -> Any:
    """Of the exported network, as its record has it: to digest gigabytes takes seconds."""
    return read_record(variant.version / "model.json").get(_NETWORK)
