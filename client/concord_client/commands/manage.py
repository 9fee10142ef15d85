"""``concord load``, ``unload`` and ``reload``: models that come and go while the server runs, by HTTP at its facade."""

import argparse
import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from concord_client.commands import ExitCode, UsageError
from concord_client.errors import (
    ConcordClientError,
    DeadlineExceeded,
    InvalidInput,
    ModelNotFound,
    ServerError,
    Unavailable,
    Unreachable,
)

URL_VARIABLE, KEY_VARIABLE = "CONCORD_FACADE_URL", "CONCORD_API_KEY"
DEFAULT_URL = "http://localhost:8080"
_DESCRIPTION = f"""\
The facade does it for a key whose line says `manage` (${KEY_VARIABLE}); with `concord serve --manage`, for programs on
its machine without a key, too. Other models answer meanwhile."""
_SECONDS = 3600.0
"""Running requests are answered before a model is unloaded."""


@dataclass(frozen=True)
class ManageCommand:
    """One of the subcommands."""

    verb: str
    HELP: str

    @property
    def DESCRIPTION(self) -> str:  # noqa: N802 - as every command has it
        return f"{self.HELP}.\n\n{_DESCRIPTION}"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the flags."""
        parser.add_argument("model", metavar="MODEL", help="as `concord models` calls it")
        if self.verb == "load":
            parser.add_argument("--profile", metavar="NAME", help="of its networks, such as int8, auto or default")
            parser.add_argument("--device", metavar="NAME", help="of its networks: cpu, or gpu:0 and so on")
        parser.add_argument("--url", help=f"of the facade (default: ${URL_VARIABLE}, or {DEFAULT_URL})")
        parser.add_argument("--timeout", metavar="SECONDS", type=float, default=_SECONDS, help="longest wait")

    def run(self, args: argparse.Namespace) -> int:
        """Does it, and says what was loaded or unloaded."""
        given = {name: value for name in ("profile", "device") if (value := getattr(args, name, None)) is not None}
        url = args.url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        done = _post(url, f"/v1/models/{quote(args.model, safe='')}/{self.verb}", given, args.model, args.timeout)
        names = ", ".join(done["loaded"] + done["unloaded"]) or "nothing: it was there already"
        print(f"{self.verb}ed {names}{'; ' if done['note'] else ''}{done['note']}")
        return ExitCode.OK


def _post(url: str, path: str, parameters: Mapping[str, str], model: str, seconds: float) -> Any:
    """The JSON of a good answer.

    Raises:
        ConcordClientError: what another answer tells of, or there is none.
        UsageError: a wrong URL.
    """
    parts = urlsplit(url)
    try:
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}[parts.scheme]
        connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    except (KeyError, ValueError):
        raise UsageError(f"the facade's address is {url!r}; allowed: such as {DEFAULT_URL}") from None
    key = os.environ.get(KEY_VARIABLE)
    try:
        query = f"?{urlencode(parameters)}" if parameters else ""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        connection.request("POST", f"{parts.path.rstrip('/')}{path}{query}", headers=headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
    except TimeoutError:
        raise DeadlineExceeded(seconds) from None
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(url, "HTTP", str(error) or type(error).__name__) from None
    except ValueError:
        raise ServerError(f"what answers at {url} is no facade of Concord's") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise _error(answer.status, told, model)
    return told


def _error(status: int, problem: Mapping[str, Any], model: str) -> ConcordClientError:
    """The error that a problem of the facade's tells of."""
    code = str(problem.get("type", "")).rpartition(":")[2] or "internal"
    detail, allowed = str(problem.get("detail", "")), str(problem.get("allowed", ""))
    if code == "unknown_model":
        return ModelNotFound(model, tuple(filter(None, allowed.split(", "))))
    if status < http.client.INTERNAL_SERVER_ERROR:
        return InvalidInput(code, str(problem.get("field", "request")), detail, allowed)
    words = f"{detail}{'; allowed: ' if allowed else ''}{allowed}"
    return ServerError(words) if status == http.client.INTERNAL_SERVER_ERROR else Unavailable(words)


LOAD = ManageCommand("load", "load a model into the server, with all that it runs")
UNLOAD = ManageCommand("unload", "unload a model from the server, with what only this model runs")
RELOAD = ManageCommand("reload", "load a model anew, from the files that are there now")
