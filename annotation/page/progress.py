"""How far the work is, and how far the annotators agree."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from annotation.agreement import agreement
from annotation.ledger import records, samples, turns
from annotation.page.rendering import page
from annotation.page.visits import somebody
from annotation.page.workplace import workplace_of

_TROUBLES = 20


async def progress(request: Request) -> Response:
    """Counts, agreement, and what went wrong."""
    annotator, workplace = await somebody(request), workplace_of(request)
    async with workplace.store.reading() as session:
        values: dict[str, Any] = {
            "progress": await samples.progress(session, workplace.places.wanted),
            "mine": await turns.count(session, annotator.name),
            "agreement": agreement((await records.answers(session)).values()),
            "troubles": await samples.troubles(session, _TROUBLES),
        }
    return page(request, "progress.html", trouble=workplace.ahead.trouble, **values)
