"""Requests that are sent at once, against as many one after the other."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from concord.instruments.stages import Statistics, mean_batch, read_statistics
from concord.instruments.timing import in_turns, percentiles


@dataclass(frozen=True)
class SideBySide:
    """Concurrent requests against as many in sequence: ratio of the times, and the UNet's mean batch."""

    requests: int
    milliseconds: dict[str, dict[str, float]]
    at_once_over_in_turn: float
    mean_unet_batch: float


def side_by_side(grpc_url: str, asks: Sequence[Callable[[], object]], network: str, rounds: int) -> SideBySide:
    """Times all of the requests, of which `network` does most of the work."""
    readings: list[tuple[Statistics, Statistics]] = []

    def in_turn() -> None:
        for ask in asks:
            ask()

    with ThreadPoolExecutor(len(asks)) as threads:

        def at_once() -> None:
            before = read_statistics(grpc_url)
            for answer in [threads.submit(ask) for ask in asks]:
                answer.result()
            readings.append((before, read_statistics(grpc_url)))

        spent = in_turns({"in turn": in_turn, "at once": at_once}, rounds)
    milliseconds = {name: percentiles(values) for name, values in spent.items()}
    over = milliseconds["at once"]["p50"] / milliseconds["in turn"]["p50"]
    return SideBySide(len(asks), milliseconds, over, mean_batch(network, readings))
