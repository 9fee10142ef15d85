"""The same rows without Ray: one program that keeps requests under way and writes files, and nothing else."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from concord_client.aio import AsyncClient
from concord_client.atomic_file import write_atomically

TOGETHER = 8
"""Requests under way: as many as two workers begin with."""


def bare(url: str, images: Sequence[Path], masks: Path, output: Path, model: str) -> None:
    """Harmonizes images with the masks of their stems."""
    asyncio.run(_bare(url, images, masks, output, model))


async def _bare(url: str, images: Sequence[Path], masks: Path, output: Path, model: str) -> None:
    output.mkdir()
    queue = iter(images)
    async with AsyncClient(url) as client:

        async def work(rows: Iterator[Path]) -> None:
            for image in rows:
                answer = await client.harmonize(image, mask=masks / f"{image.stem}.png", model=model)
                await asyncio.to_thread(write_atomically, output / f"{image.stem}.png", answer.image)

        async with asyncio.TaskGroup() as group:
            for _ in range(TOGETHER):
                group.create_task(work(queue))
