"""What ``concord annotate`` does: it serves the page, with what works ahead of it, or writes what was answered."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from annotation.ahead import Ahead
from annotation.captioner.captioner import Captioner
from annotation.captioner.openai import OpenAiCaptioner
from annotation.captioner.triton import TritonCaptioner
from annotation.confidence import Confidence
from annotation.iharmony4 import Dataset, read_dataset
from annotation.ledger import records, samples
from annotation.ledger.turns import Places
from annotation.page.app import create_app
from annotation.page.workplace import Workplace
from annotation.qualification import Qualification
from annotation.record import read_records, write_records
from concord.server.choice import AUTO
from concord.server.declared import catalogue
from concord.server.embedded import EmbeddedServer, Ports
from concord_client.tasks.segment import Segment
from facade.access.keys import Keys
from facade.access.rates import Rates, rates_of
from facade.accounts.accounts import Accounts
from facade.settings import Settings, from_arguments
from facade.store.address import file_url
from facade.store.store import Store
from facade.watch import logs
from facade.watch.supervisor import Supervisor
from facade.wire.server import HttpServer, listener

MIGRATIONS = "annotation.ledger.migrations"
_STATE = Path(".concord") / "annotations.db"


def export(args: argparse.Namespace) -> int:
    """Writes every answer as a record."""

    async def read() -> int:
        async with store_of(args) as store, store.reading() as session:
            found = await records.records(session)
        write_records(args.export, found)
        return len(found)

    say(f"{asyncio.run(read())} records are in {args.export}")
    return 0


def serve(args: argparse.Namespace) -> int:
    """Serves until a signal comes; a second one ends it at once.

    Raises:
        DatasetError: the data set or the qualification cannot be used.
        SettingsError: a setting is not usable.
        ServerFailure: the port is taken.
        StoreError: the database cannot be opened.
        ValueError: the address of a captioner or a database is none.
    """
    settings = from_arguments(args)
    logs.configure(settings.log_level)
    keys = Keys(settings)
    dataset = read_dataset(args.dataset, tested=False)
    for line in dataset.missing:
        say(f"left out: {line}")
    asked = qualification_of(args, dataset)
    ahead = Ahead(
        store_of(args),
        {each.name: each for each in dataset.samples},
        list(captioners_of(args.captioner, args.captioner_key, args.captioner_timeout)),
        wanted=args.annotators,
        lead=args.lead,
    )
    places = Places(args.annotators, 60 * args.claim_minutes)
    rates = rates_of(settings)
    accounts = Accounts(settings, rates) if settings.accounts != "off" else None
    workplace = Workplace(settings, ahead.store, ahead.dataset, places, ahead, keys, asked, accounts)
    listening = listener(settings.host, settings.port)
    with segmenter(args, settings, ahead) as url:
        ahead.confidence = Confidence(url, args.model) if url else None
        host, port = listening.getsockname()[:2]
        say(f"{len(dataset.samples)} composites; the page is at http://{f'[{host}]' if ':' in host else host}:{port}")
        asyncio.run(_serve(workplace, rates, listening))
    return 0


async def _serve(workplace: Workplace, rates: Rates, listening: socket.socket) -> None:
    async with rates, workplace.accounts or nullcontext(), workplace.store as store:
        async with store.begin() as session:
            known = workplace.qualification.answers if workplace.qualification else ()
            await samples.register(session, list(workplace.dataset.values()), known)
            await samples.try_again(session)
        server = HttpServer(create_app(workplace), workplace.settings)
        signals = 0

        def stop() -> None:
            nonlocal signals
            signals += 1
            server.stop(at_once=signals > 1)

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        await server.serve([listening])


def store_of(args: argparse.Namespace) -> Store:
    """The store that is given, or that of the data set.

    Raises:
        ValueError: the address is none.
    """
    return Store(args.answers or file_url(args.dataset / _STATE), MIGRATIONS)


def qualification_of(args: argparse.Namespace, dataset: Dataset) -> Qualification | None:
    """The questions of a file; None without one. DatasetError: they cannot be used."""
    if args.qualification is None:
        return None
    names = [each.name for each in dataset.samples]
    known = read_records(args.qualification)
    return Qualification.of(known, names, args.qualification_samples, args.qualification_threshold)


def captioners_of(given: Iterable[tuple[str, str]], key: str, timeout: float) -> Iterator[Captioner]:
    """A captioner for each pair of address and model. ValueError: an address is none."""
    for url, model in given:
        scheme, _, rest = url.partition("://")
        if scheme == "grpc":
            yield TritonCaptioner(rest, model, timeout)
        elif scheme in ("http", "https") and urlsplit(url).hostname and "@" not in url:
            yield OpenAiCaptioner(url, model, key, timeout)
        else:
            raise ValueError(f"--captioner: {url[:60]!r}; allowed: http(s)://HOST/v1, or grpc://HOST:PORT")


@contextmanager
def segmenter(args: argparse.Namespace, settings: Settings, ahead: Ahead) -> Iterator[str]:
    """The address of the Concord that is asked how well words are found, which may be started; empty for none."""
    if args.url or not args.confidence:
        yield args.url or ""
        return
    repositories = settings.model_repositories
    ports = Ports(None, 0, 0).chosen()
    models = {args.model} if args.model else set(catalogue(repositories).models(Segment.TASK))
    server = EmbeddedServer(repositories, ports=ports, model_config_name=AUTO, load=models)

    def failed(error: Exception) -> None:
        ahead.trouble = "the segmenter's server could not be kept up"
        say(f"no confidence is measured: {error}")

    supervisor = Supervisor(server, structlog.get_logger("annotation.triton").info, failed)
    supervisor.start()
    try:
        yield server.grpc_url
    finally:
        supervisor.stop(at_once=lambda: True)


def say(words: str) -> None:
    """Tells whoever runs it."""
    print(f"concord: {words}", file=sys.stderr, flush=True)
