"""What is done ahead: the IoU beside each expression is what a real segmenter reaches, and a new start goes on."""

import asyncio
from pathlib import Path

from annotation.confidence import Confidence
from annotation.iharmony4 import read_dataset
from annotation.ledger import expressions, samples
from annotation.record import Source
from concord.server.embedded import EmbeddedServer
from tests.annotation.scenes import write_scenes
from tests.annotation.site import Site, action, visited
from tests.annotation.test_captioner import prepared


def test_the_confidence_is_the_iou_of_what_is_found(server: EmbeddedServer, tmp_path: Path) -> None:
    scenes = write_scenes(tmp_path, 1)
    [sample] = read_dataset(tmp_path).samples

    async def asked(words: str) -> float | None:
        confidence = Confidence(server.grpc_url)
        try:
            return await confidence.of(sample, words)
        finally:
            await confidence.close()

    right = asyncio.run(asked(scenes[sample.name].expression))
    wrong = asyncio.run(asked("x" * 10_001))
    assert right is not None and right > 0.5 and wrong is None


def test_every_suggestion_and_own_word_gets_its_confidence_also_after_a_new_start(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    write_scenes(tmp_path, 2)

    async def first(site: Site) -> None:
        async with site.workplace.ahead.running(), site.person() as ada:
            await prepared(site)
            await ada.enters()
            page = await ada.sees("/sample")
            assert "IoU –" in page and " %</span>" not in page
            await ada.sends(action(page), own="the green star", action="keep")

    async def second(site: Site) -> None:
        ahead = site.workplace.ahead
        ahead.confidence = Confidence(server.grpc_url)
        async with ahead.running(), site.person() as ada:
            await measured(site)
            await ada.enters()
            page = await ada.sees("/sample")
            assert "IoU –" not in page and " %</span>" in page and not ahead.trouble
            [own] = await site.records()
            assert own.source is Source.OWN and own.iou is not None

    visited(tmp_path, first)
    visited(tmp_path, second)


def test_a_server_that_does_not_answer_is_told_and_asked_again(
    server: EmbeddedServer, closed_url: str, tmp_path: Path
) -> None:
    write_scenes(tmp_path, 1)

    async def visit(site: Site) -> None:
        ahead = site.workplace.ahead
        ahead.confidence = Confidence(closed_url, timeout=1.0)
        async with ahead.running(), site.person() as ada:
            while not ahead.trouble:
                await asyncio.sleep(0.05)
            await ada.enters()
            assert ahead.trouble in await ada.sees("/progress")
            ahead.confidence = Confidence(server.grpc_url)
            ahead.wake()
            await measured(site)

    visited(tmp_path, visit)


def test_suggestions_are_made_so_far_ahead_and_no_farther(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2, 2)

    async def visit(site: Site) -> None:
        ahead = site.workplace.ahead
        ahead.lead = 2
        async with site.workplace.store.reading() as session:
            rows = await samples.unprepared(session, 1, ahead.lead, 10)
        assert [row.composite for row in rows] == ["HCOCO/c0_1_1.jpg", "HCOCO/c0_1_2.jpg"]

    visited(tmp_path, visit)


async def measured(site: Site) -> None:
    """Returns when the segmenter was asked for every expression, and there are some."""
    while True:
        async with site.workplace.store.reading() as session:
            left = await expressions.untried(session, 1)
            found = await samples.progress(session, 1)
        if not left and found.prepared == found.total:
            return
        await asyncio.sleep(0.05)
