"""The page of results: each before and after, with what it was made of, to be run again, taken home or deleted."""

from dataclasses import dataclass

from fastapi import FastAPI
from starlette.responses import Response

from facade.history.histories import Histories
from facade.history.result import AFTER, AFTER_SMALL, BEFORE_SMALL, MASK
from facade.page.account.paths import GALLERY
from facade.page.account.site import Visit, back_to, show, take
from facade.routes.history import KeptResult, archive_response, picture_response, shown
from facade.wire.caller import caller_of, while_connected

A_PAGE = 12


@dataclass(frozen=True)
class Gallery:
    """The results of whoever has signed in."""

    histories: Histories

    def install(self, app: FastAPI) -> None:
        """Adds the page, its pictures and its forms."""
        show(app, GALLERY, self.show)
        show(app, f"{GALLERY}/archive", self.archive)
        show(app, f"{GALLERY}/{{result}}/{{part}}", self.picture)
        take(app, f"{GALLERY}/again", self.again, self._showing)
        take(app, f"{GALLERY}/remove", self.remove, self._showing)

    async def show(self, visit: Visit) -> Response:
        return await self._showing(visit, "", 200)

    async def archive(self, visit: Visit) -> Response:
        return archive_response(self.histories, visit.holder.id)

    async def picture(self, visit: Visit) -> Response:
        result, part = (visit.request.path_params[name] for name in ("result", "part"))
        row = await self.histories.history.one(visit.holder.id, result)
        return picture_response(await self.histories.history.picture(row, part), part)

    async def again(self, visit: Visit) -> Response:
        """Asks for a result once more, and keeps the answer."""
        row = await self.histories.history.one(visit.holder.id, visit.given.get("result", ""))
        changes = {"seed": seed} if (seed := visit.given.get("seed", "").strip()) else {}
        service = visit.request.app.state.service
        async with while_connected(visit.request):
            done = await self.histories.again(row, service, caller_of(visit.request), changes)
            answer = done.finished.answer
            await self.histories.keep(visit.name, done.request, answer, done.model, done.settings)
        return back_to(GALLERY)

    async def remove(self, visit: Visit) -> Response:
        await self.histories.history.remove(visit.holder.id, visit.given.get("result", ""))
        return back_to(GALLERY)

    async def _showing(self, visit: Visit, said: str, status: int) -> Response:
        history, before = self.histories.history, visit.request.query_params.get("before")
        rows = await history.page(visit.holder.id, before, A_PAGE + 1)
        megabytes = 2**20
        return visit.page(
            "gallery",
            status,
            said=said,
            results=[_card(shown(each)) for each in rows[:A_PAGE]],
            older=rows[A_PAGE - 1].token if len(rows) > A_PAGE else None,
            is_first=before is None,
            days=history.bounds.days,
            taken=f"{await history.taken(visit.holder.id) / megabytes:.1f}",
            most=f"{history.bounds.bytes / megabytes:.0f}",
            gallery=GALLERY,
        )


def _card(result: KeptResult) -> dict[str, object]:
    """What is shown of a result, and where its pictures are."""
    at = f"{GALLERY}/{result.id}"
    return {
        **result.model_dump(),
        "before": f"{at}/{BEFORE_SMALL}" if "before" in result.pictures else None,
        "after": f"{at}/{AFTER_SMALL}",
        "full": f"{at}/{AFTER}",
        "mask": f"{at}/{MASK}" if MASK in result.pictures else None,
    }
