"""The Ray cluster of a run: one of its own on this machine, or one that is there."""

import logging
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from tempfile import TemporaryDirectory
from typing import Any

from concord_client.commands import one_line
from concord_client.errors import Unavailable

HOST = "127.0.0.1"
STORE_BYTES = 512 * 2**20
"""Of shared memory for the rows that are on their way to workers."""
_ATTEMPTS = 3
"""Ray gives its processes some seconds to come up, which a busy machine may not have."""
_REACH_SECONDS = 5.0
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Ray then takes this machine's address to be that of loopback, as it does on systems with firewalls that ask."""


def loopback_environment() -> dict[str, str]:
    """For Ray on this machine alone: nothing is reported, and nobody takes part who does not know the token."""
    return {**_QUIET, **_LOOPBACK, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Ray is there for as long as the block runs.

    Args:
        address: of a cluster, HOST:PORT; None for one of its own, on loopback, without a dashboard.

    Raises:
        Unavailable: there is none at the address, or Ray did not start.
    """
    # Ray reads them when it is imported. What is said of tokens for a cluster that is there stays.
    if address is None:
        os.environ.update(loopback_environment() if "ray" not in sys.modules else _QUIET)
    else:
        os.environ.update(_QUIET | (_LOOPBACK if _is_loopback(address) else {}))
    import ray
    from ray.data import DataContext

    with TemporaryDirectory(prefix="concord-ray-", ignore_cleanup_errors=True) as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _start(address, folder)
        try:
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
            context = DataContext.get_current()
            context.enable_progress_bars = False
            context.issue_detectors_config.detectors = []
            yield
        finally:
            ray.shutdown()


def _start(address: str | None, folder: str) -> None:
    import ray

    loopback = address is None or _is_loopback(address)
    common: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    common |= {"_node_ip_address": HOST} if loopback else {}
    if address is not None:
        try:
            # Ray itself would try for minutes.
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
            ray.init(address=address, **common)
        except Exception as error:  # of several kinds, by what answers
            raise Unavailable(f"no Ray cluster answers at {address}: {one_line(error)[:300]}") from None
        return
    for attempt in range(_ATTEMPTS):
        try:
            own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE_BYTES}
            own["_temp_dir"] = f"{folder}/{attempt}"
            ray.init(address="local", **common, **own)
            return
        except Exception as error:  # Ray's own are of no kind
            ray.shutdown()
            reason = one_line(error)[:300]
    raise Unavailable(f"Ray did not start on this machine: {reason}")


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
