"""Every setting of ``concord serve``: a flag, an environment variable, a line of ``--help`` and a row of a table.

A flag goes before the environment variable, and that before the default. ``python -m facade.settings`` prints the
table of ``docs/settings.md``.
"""

import argparse
import os
from collections.abc import Collection
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le
from limits import parse
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from concord.limits import HIGHEST_MAX_PIXELS, Limits
from concord.server.choice import AUTO
from concord.server.embedded import Ports
from concord.server.installation import MODEL_REPOSITORIES
from concord_client.transport import Address
from facade.store.address import EXAMPLES, checked, file_of, file_url, state_folder

PREFIX = "CONCORD_"
SCANNERS = ("sqlmap", "nikto", "nuclei", "masscan", "zgrab", "wpscan", "gobuster", "dirbuster", "acunetix", "openvas")
"""Programs that look for holes, and say who they are."""


class SettingsError(Exception):
    """A setting is not usable; the text names its flag, its variable and what was wrong."""


def _folders(given: object) -> object:
    return tuple(filter(None, given.split(os.pathsep))) if isinstance(given, str) else given


def _by_model(given: object) -> object:
    if not isinstance(given, str):
        return given
    found = {}
    for item in filter(None, (item.strip() for item in given.split(","))):
        model, equals, value = (word.strip() for word in item.partition("="))
        if not equals or not model.isidentifier():
            raise ValueError(f"{item[:40]!r} is not MODEL=NUMBER")
        found[model] = value
    return found


def _rate(given: str) -> str:
    try:
        parse(given)
    except ValueError as error:
        raise ValueError(f"{given[:40]!r} is no rate such as 60/minute") from error
    return given


def _names(given: object) -> object:
    return tuple(filter(None, (item.strip() for item in given.split(",")))) if isinstance(given, str) else given


def _agents(given: object) -> object:
    return () if given == "none" else _names(given.lower() if isinstance(given, str) else given)


def _proxies(given: object) -> object:
    found = _names(given)
    for item in found if isinstance(found, tuple) else ():
        try:
            ip_network(item)
        except ValueError:
            raise ValueError(f"{item[:40]!r} is no address or network such as 10.0.0.0/8") from None
    return found


def _origins(given: object) -> object:
    if not isinstance(given, str):
        return given
    found = tuple(filter(None, (item.strip().lower() for item in given.split(","))))
    for item in found:
        scheme, name, *further = urlsplit(item)
        if scheme not in ("http", "https") or not name or any(further):
            raise ValueError(f"{item[:40]!r} is no address such as https://concord.example or http://box:8080")
    return found


def _collector(given: str) -> str:
    scheme, name, path, query, fragment = urlsplit(given)
    if given and (scheme not in ("http", "https") or not name or "@" in name or path.strip("/") or query or fragment):
        raise ValueError(f"{given[:40]!r} is no address such as http://localhost:4318")
    return given.rstrip("/")


def _store(given: SecretStr) -> SecretStr:
    url = given.get_secret_value()
    try:
        scheme, _, path, *further = parts = urlsplit(url)
        # A query would be options of the connection.
        usable = scheme in ("redis", "rediss") and parts.hostname and parts.port != 0 and not any(further)
        usable = usable and (not path.strip("/") or path[1:].isdecimal())
    except ValueError:
        usable = False
    if url and not usable:
        # Nothing of it is said: a password may be anywhere in what is wrong.
        raise ValueError("it is no address such as redis://:PASSWORD@localhost:6379/0, or rediss:// for TLS") from None
    return given


def _database(given: SecretStr) -> SecretStr:
    if url := given.get_secret_value():
        checked(url)
    return given


def _address(given: str) -> str:
    return Address.of(given, "grpc").url if given else given


Port = Annotated[int, Ge(0), Le(65535)]
LONGEST = 86_400.0
MOST_PICTURES = 10**9
"""On a day: more than anybody asks for."""
Seconds = Annotated[float, Gt(0), Le(LONGEST)]


class Settings(BaseSettings):
    """What ``concord serve`` can be told. Times are in seconds, sizes in bytes; an instance does not change."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="address the facade listens on; 0.0.0.0 for every network")
    port: Port = Field(8080, description="port of the facade; 0 for any free one")
    page: bool = Field(True, description="whether the page is served at /")
    origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = Field(
        (),
        description="comma-separated addresses, such as https://concord.example, by which the facade is reached; "
        "localhost and every IP address besides",
    )
    triton_url: Annotated[str, AfterValidator(_address)] = Field(
        "", description="HOST:PORT of the gRPC of a Triton elsewhere; none is started then"
    )
    grpc_port: Port = Field(Ports.grpc, description="gRPC port of the Triton that is started, on loopback; 0: any free")
    metrics_port: Port = Field(Ports.metrics, description="its metrics port")
    triton_http: bool = Field(False, description="whether it answers HTTP, too; it has no limits there")
    http_port: Port = Field(8000, description="its HTTP port")
    model_repository: Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_folders)] = Field(
        (), description="folder with models; several times (in the variable: split by colons) for several folders"
    )
    model_config_name: str = Field(
        AUTO,
        description="profile of the models, such as bf16, cuda or tensorrt; auto: for each the fastest that is known "
        "to answer well on this kind of processor; default: FP32",
    )
    load: Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)] = Field(
        None, description="comma-separated models that are loaded at the start, others later; by default all"
    )
    log_file: Path | None = Field(None, description="receives Triton's log; by default in the user's state folder")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level of a log line")
    otlp_endpoint: Annotated[str, AfterValidator(_collector)] = Field(
        "",
        description="address of an OpenTelemetry collector, such as http://localhost:4318, that is sent the spans of "
        "requests over OTLP/HTTP; none are made without it",
    )
    max_bytes: Annotated[int, Ge(1), Le(2**31 - 1)] = Field(
        Limits.max_bytes, description="largest encoded image, for the facade and for Triton's models"
    )
    max_pixels: Annotated[int, Ge(1), Le(HIGHEST_MAX_PIXELS)] = Field(
        Limits.max_pixels, description="largest width x height, for the facade and for Triton's models"
    )
    max_held_bytes: Annotated[int, Ge(2**20), Le(2**40)] = Field(
        2**30,
        description="bytes of all requests and answers together that are kept in memory; what is more is refused, or "
        "waits. Of several keys each has half of what the others leave",
    )
    max_batch_images: Annotated[int, Ge(1), Le(10_000)] = Field(100, description="most images of one batch")
    max_batch_bytes: Annotated[int, Ge(1), Le(2**31 - 1)] = Field(
        256 * 2**20, description="largest batch, as it is sent and as it is unpacked"
    )
    batch_deadline: Seconds = Field(3600.0, description="longest time of a batch; what is not done by then has failed")
    read_timeout: Seconds = Field(
        30.0, description="timeout for sending a request, and for a client that stops reading its answer"
    )
    least_read_rate: Annotated[int, Ge(1), Le(2**30)] = Field(
        2**18, description="bytes a second that a client has to read of its answer, after its read timeout"
    )
    concurrency: Annotated[dict[str, Annotated[int, Ge(1), Le(1024)]], NoDecode, BeforeValidator(_by_model)] = Field(
        {}, description="MODEL=NUMBER,...: requests of a model that run at a time; else what the model declares"
    )
    queue: Annotated[int, Ge(0), Le(10_000)] = Field(
        16, description="requests of a model that may wait, for each key; more are refused at once with Retry-After"
    )
    deadline: Annotated[dict[str, Seconds], NoDecode, BeforeValidator(_by_model)] = Field(
        {}, description="MODEL=SECONDS,...: longest time of a request, queue included; else what the model declares"
    )
    probe_interval: Seconds = Field(10.0, description="time between two inferences that /readyz rests on")
    drain_seconds: Seconds = Field(
        660.0, description="how long accepted requests may take after SIGTERM; longer than any deadline, none is lost"
    )
    api_keys: SecretStr = Field(
        SecretStr(""), description="comma-separated keys. Prefer the variable: other users can see command-line flags"
    )
    api_keys_file: Path | None = Field(
        None,
        description="file with a line NAME HASH for each key, as `concord keys` prints it; limits may follow, "
        "such as rate=10/minute max_text_bytes=200; changes count at once",
    )
    manage: bool = Field(
        False,
        description="whether programs on this machine may load and unload models without a key; a key may where its "
        "line in the file says `manage`",
    )
    open: bool = Field(False, description="whether everybody may ask at an address that is not loopback, without keys")
    rate_limit: Annotated[str, AfterValidator(_rate)] = Field(
        "60/minute", description="requests a key may make, such as 10/second; without keys nobody is counted"
    )
    pictures: Annotated[int, Ge(1), Le(MOST_PICTURES)] = Field(
        MOST_PICTURES, description="answers of models that a key, or an account, may ask for on a day of UTC"
    )
    rates: Annotated[SecretStr, AfterValidator(_store)] = Field(
        SecretStr(""),
        description="address of a Redis, such as redis://:PASSWORD@localhost:6379/0, in which several facades count "
        "the requests of keys together; by default each counts alone. Prefer the variable",
    )
    store: Annotated[SecretStr, AfterValidator(_database)] = Field(
        SecretStr(""),
        description=f"address of a database, such as {EXAMPLES}, in which accounts and what belongs to them are kept; "
        "by default a SQLite file in the user's state folder, where something is to be kept. Prefer the variable",
    )
    accounts: Literal["off", "closed", "invitation", "open"] = Field(
        "off",
        description="whether people sign in with accounts, and who may register: nobody, whoever is invited, or "
        "everybody. The first administrator is made by `concord accounts add NAME --role administrator`",
    )
    history_days: Annotated[int, Ge(0), Le(3650)] = Field(
        0, description="how long results are kept that an account asks to keep; 0: none is. Needs accounts"
    )
    history_bytes: Annotated[int, Ge(1), Le(2**50)] = Field(
        2**30, description="of the results that an account may have; beyond them, its oldest are removed"
    )
    history_folder: Path | None = Field(
        None,
        description="for the pictures of results, of one store alone, shared by all facades of that store; by default "
        "beside the file of a SQLite store",
    )
    proxies: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_proxies)] = Field(
        (),
        description="comma-separated addresses or networks of proxies, such as 10.0.0.0/8, whose X-Forwarded-For says "
        "where requests are from",
    )
    refused_agents: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_agents)] = Field(
        SCANNERS,
        description="comma-separated words; programs that have one in their User-Agent are refused; none: nobody is",
    )

    @property
    def store_url(self) -> str:
        """Of the store: the one that was given, or that in the state folder."""
        return self.store.get_secret_value() or file_url(state_folder() / "store.db")

    @property
    def results_folder(self) -> Path | None:
        """For the pictures of results; None where it is needed and was not given."""
        file = file_of(self.store_url)
        return self.history_folder or (file and file.with_name(f"{file.name}-results"))

    @property
    def model_repositories(self) -> tuple[Path, ...]:
        """Folders with models: those given, or the project's."""
        return self.model_repository or tuple(MODEL_REPOSITORIES)

    def shown(self) -> dict[str, object]:
        """Every setting by name, to be printed; secrets are stars, or empty where they are not set."""
        return self.model_dump(mode="json")


class Row(NamedTuple):
    name: str
    flag: str
    variable: str
    default: str
    description: str


def rows() -> list[Row]:
    """Every setting, in the order of the class."""
    return [
        Row(name, f"--{name.replace('_', '-')}", f"{PREFIX}{name.upper()}", _written(field.default), _meaning(field))
        for name, field in Settings.model_fields.items()
    ]


def table() -> str:
    lines = ["| flag | variable | default | meaning |", "|---|---|---|---|"]
    for row in rows():
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.flag}` | `{row.variable}` | {default} | {row.description} |")
    return "\n".join(lines) + "\n"


def add_arguments(parser: argparse._ActionsContainer, names: Collection[str] = Settings.model_fields) -> None:
    """Declares a flag for every setting, or for those of these names; :func:`from_arguments` reads them."""
    for row in [row for row in rows() if row.name in names]:
        annotation = Settings.model_fields[row.name].annotation
        words = f"{row.description} [{row.variable}; default: {row.default or 'none'}]".replace("%", "%%")
        kind: dict[str, Any] = {"metavar": row.name.upper()}
        if annotation is bool:
            kind = {"action": argparse.BooleanOptionalAction}
        elif row.name == "model_repository":
            kind["action"] = "append"
        parser.add_argument(row.flag, default=argparse.SUPPRESS, help=words, **kind)


def from_arguments(args: argparse.Namespace) -> Settings:
    """The settings, from flags and environment.

    Raises:
        SettingsError: a value is not usable.
    """
    given = {name: value for name, value in vars(args).items() if name in Settings.model_fields}
    try:
        return Settings(**given)
    except ValidationError as error:
        by_name = {row.name: row for row in rows()}
        complaints = []
        for problem in error.errors(include_input=False, include_url=False):
            row = by_name[str(problem["loc"][0])]
            inner = "".join(f" {part}" for part in problem["loc"][1:])
            complaints.append(f"{row.flag} ({row.variable}){inner}: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("; ".join(complaints)) from None


def _meaning(field: FieldInfo) -> str:
    lowest = next((rule.ge for rule in field.metadata if isinstance(rule, Ge)), None)
    highest = next((rule.le for rule in field.metadata if isinstance(rule, Le)), None)
    bounds = f" ({lowest} to {highest})" if lowest is not None else ""
    return f"{field.description}{bounds}"


def _written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default in (None, {}) else str(default)


if __name__ == "__main__":
    print(table(), end="")
