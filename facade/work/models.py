"""What the facade knows of the server's models: the catalogue as it was last read."""

from collections.abc import Callable, Collection

from concord_client import AsyncClient
from concord_client.catalogue import Catalogue, Pipeline
from concord_client.errors import InvalidInput, ModelNotFound
from concord_client.tasks.request import A, Request
from facade.access.caller import Allowance

_ASK_SECONDS = 5.0
_MAX_AGE = 1.0


class Models:
    """The catalogue of one server, read again when something is missing from it, at most once a second.

    `changed` is called with every catalogue that differs from the one before.
    """

    def __init__(self, client: AsyncClient, changed: Callable[[Catalogue], object]) -> None:
        self._client = client
        self._changed = changed
        self._doubtful = True
        self.catalogue = Catalogue()

    async def refresh(self) -> Catalogue:
        """The catalogue, no older than a second.

        Raises:
            ConcordClientError: the server does not answer.
        """
        self.know(await self._client.catalogue(max_age=_MAX_AGE, timeout=_ASK_SECONDS))
        return self.catalogue

    def know(self, catalogue: Catalogue) -> None:
        """Takes a catalogue as that of the server."""
        if catalogue.pipelines != self.catalogue.pipelines:
            self.catalogue = catalogue
            self._changed(catalogue)
        self._doubtful = False

    def doubt(self) -> None:
        """What is known may be wrong; the next request reads the catalogue again."""
        self._doubtful = True

    def setting_names(self, task: str) -> Collection[str] | None:
        """The public names of a task's settings; None where no catalogue is known, so that it may be any."""
        if not self.catalogue.pipelines:
            return None
        return [setting.public_name for each in self.catalogue.of_task(task) for setting in each.settings.values()]

    async def choose(self, request: Request[A], model: str | None, allowance: Allowance) -> Pipeline:
        """The pipeline that answers a request.

        Args:
            model: its name; None for the default of those that take what is given.
            allowance: the caller's; models that it leaves out do not exist.

        Raises:
            ConcordClientError: there is no such model, it does not take what is given, or the server does not answer.
        """
        given = [field.tensor for field in request.given()]
        if not self._doubtful:
            try:
                return _allowed(self.catalogue, allowance).choose(request.TASK, model, given, streams=True)
            except (ModelNotFound, InvalidInput):
                # It may have come since.
                pass
        return _allowed(await self.refresh(), allowance).choose(request.TASK, model, given, streams=True)


def _allowed(catalogue: Catalogue, allowance: Allowance) -> Catalogue:
    if not allowance.models:
        return catalogue
    return Catalogue(each for each in catalogue.pipelines if allowance.has_model(each.model))
