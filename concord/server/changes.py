"""Public models that come, go and are replaced while a server runs and its other models answer.

A change is planned first, which refuses what cannot be done and changes nothing, and then made. Processes start one
after the other, so that they leave the others their processors.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from concord.device import Device
from concord.errors import InUse, InvalidSetting, ServerFailure
from concord.repository.profiles import cuda
from concord.server import room
from concord.server.choice import Choice, choose, unusable
from concord.server.embedded import EmbeddedServer
from concord.server.processes import of_model
from concord.variants import DEFAULT, Variant, variants
from concord_client.errors import ModelNotFound

_LONGEST_ANSWER = 3600.0
"""Seconds for which a model that is unloaded may go on with what it was asked before."""


@dataclass(frozen=True)
class Change:
    """What is to be done to the models of a server.

    Attributes:
        model: the public model that was named.
        loads: names in Triton, each behind what it runs; of one that is loaded a new process takes the old one's place.
        unloads: names in Triton, each before what it runs.
        public: the public models that come, or that go.
        wanted, placed: as in `Roster`, afterwards.
        words: what a person is told of the profile.
    """

    model: str
    wanted: frozenset[str]
    placed: Mapping[str, Variant]
    loads: tuple[str, ...] = ()
    unloads: tuple[str, ...] = ()
    public: frozenset[str] = field(default_factory=frozenset)
    words: str = ""


class Changes:
    """Plans and makes the changes of one server that runs, in one thread at a time."""

    def __init__(self, server: EmbeddedServer) -> None:
        self._server, self._roster = server, server.roster

    def loading(self, model: str, profile: str = "", device: str = "") -> Change:
        """Has a public model loaded, with all that it runs.

        Args:
            profile: of the networks that are the model's own; by default the server's, or the one for a GPU.
            device: of these networks, such as ``gpu:0``.

        Raises:
            ModelNotFound: no such model can be served.
            InvalidSetting: the machine does not have the device, or none of the networks has a form for the profile.
            NoRoom: there is not enough memory.
            ServerFailure: a declaration cannot be read.
        """
        roster, place = self._roster, Device.of(device) if device else None
        before = roster.chosen
        roster.look()
        _require(model, roster.inventory.pipelines)
        networks = variants(self._server.model_repositories)
        own = roster.inventory.own(model, networks)
        missing = roster.inventory.behind([model]) - roster.loaded
        placed = {name: variant for name, variant in roster.placed.items() if name not in missing}
        choice = Choice()
        if profile or place:
            choice = self._choice(profile or (cuda.__name__ if place and place.gpu is not None else ""), own)
            placed |= {n: replace(choice.variants.get(n, networks[n][DEFAULT]), device=place) for n in own}
        chosen = {**roster.choice.variants, **placed}
        others = {n for n in own if before.get(n, networks[n][DEFAULT]) != chosen.get(n, networks[n][DEFAULT])}
        for variant in (chosen[name] for name in others & placed.keys()):
            if problem := unusable(variant):
                raise InvalidSetting("profile", f"{variant.model} in {variant.profile}: {problem}", DEFAULT)
        loads = roster.inventory.in_order(missing | others)
        self._require_memory(loads, networks, chosen)
        wanted, public = self._wanted | {model}, roster.inventory.public(missing)
        return Change(model, wanted, placed, loads, public=public, words=choice.words)

    def unloading(self, model: str) -> Change:
        """Has a public model unloaded, and what only that runs.

        Raises:
            ModelNotFound: it is not loaded.
            InUse: another model that is loaded runs it.
        """
        inventory, loaded = self._roster.inventory, self._roster.loaded
        _require(model, inventory.public(loaded))
        wanted = self._wanted - {model}
        users = [each for each in sorted(wanted) if inventory.behind([each]) & inventory.pipelines[model]]
        if users:
            names = ", ".join(users)
            raise InUse("model", f"{model} is a part of {names}", f"to unload {names} first")
        unloads = inventory.in_order((inventory.behind([model]) & loaded) - inventory.behind(wanted))[::-1]
        return Change(model, wanted, self._roster.placed, unloads=unloads, public=inventory.public(unloads))

    def reloading(self, model: str) -> Change:
        """Has a public model replaced by what is in the repositories now, with all that it runs.

        Raises:
            ModelNotFound: it is not loaded.
            NoRoom: there is not enough memory, since the old one answers until the new one does.
            ServerFailure: a declaration cannot be read.
        """
        roster = self._roster
        _require(model, roster.inventory.public(roster.loaded))
        roster.look()
        loads = roster.inventory.in_order(roster.inventory.behind([model]))
        self._require_memory(loads, variants(self._server.model_repositories), roster.chosen)
        return Change(model, self._wanted, roster.placed, loads)

    def make(self, change: Change) -> None:
        """Makes a change; one that fails is undone.

        Raises:
            ServerFailure: a model cannot be loaded, or the server does not answer.
        """
        roster, before, placed = self._roster, self._roster.loaded, self._roster.placed
        roster.placed = change.placed
        model = change.model
        try:
            for model in change.loads:
                self._load(model)
            roster.wanted = change.wanted
            for model in change.unloads:
                self._unload(model)
        except InferenceServerException as error:
            roster.placed = placed
            tried = change.loads[: change.loads.index(model) + 1] if model in change.loads else ()
            for name in reversed(tried):
                with suppress(InferenceServerException):
                    self._load(name) if name in before else self._unload(name)
            raise ServerFailure(model, "it cannot be loaded or unloaded; the server's log says why") from error
        finally:
            roster.loaded -= frozenset(change.unloads)
            roster.changes += 1

    def _load(self, model: str) -> None:
        with self._roster.locks[model]:
            self._dismiss(model)
            self._server.view.show([model], self._roster.chosen)
            self._server.load(model)
            self._roster.loaded |= {model}

    def _unload(self, model: str) -> None:
        with self._roster.locks[model]:
            self._roster.loaded -= {model}
            self._dismiss(model)
            self._server.administration.unload(self._server.grpc_url, model, _LONGEST_ANSWER)

    def _dismiss(self, model: str) -> None:
        self._roster.dismissed |= of_model(model, self._server.processes())

    def _choice(self, profile: str, networks: Collection[str]) -> Choice:
        try:
            return choose(self._server.model_repositories, profile or self._roster.profile, networks)
        except ServerFailure as failure:
            raise InvalidSetting("profile", failure.problem, failure.allowed) from failure

    def _require_memory(
        self, names: Collection[str], networks: Mapping[str, Mapping[str, Variant]], chosen: Mapping[str, Variant]
    ) -> None:
        served = {name: chosen.get(name, found[DEFAULT]) for name, found in networks.items()}
        room.require()
        room.require_memory(served[name].size if name in served else 0 for name in names)

    @property
    def _wanted(self) -> frozenset[str]:
        return self._roster.wanted or frozenset()


def _require(model: str, known: Collection[str]) -> None:
    if model not in known:
        raise ModelNotFound(model, tuple(sorted(known)))
