"""The same rows without Ray: one program that keeps requests under way and writes files, and nothing else."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

from concord.bulk.window import MOST
from concord_client.aio import AsyncClient
from concord_client.atomic_file import write_atomically


def bare(url: str, images: Sequence[Path], masks: Path, output: Path, model: str, together: int = MOST) -> None:
    """Harmonizes images, so many at a time, with the masks of their stems."""
    asyncio.run(_bare(url, images, masks, output, model, together))


async def _bare(url: str, images: Sequence[Path], masks: Path, output: Path, model: str, together: int) -> None:
    output.mkdir()
    queue = iter(images)
    async with AsyncClient(url) as client:

        async def work(rows: Iterator[Path]) -> None:
            for image in rows:
                answer = await client.harmonize(image, mask=masks / f"{image.stem}.png", model=model)
                await asyncio.to_thread(write_atomically, output / f"{image.stem}.png", answer.image)

        async with asyncio.TaskGroup() as group:
            for _ in range(together):
                group.create_task(work(queue))
