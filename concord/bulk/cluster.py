"""The Ray cluster of a run: one of its own on this machine, or one that is there."""

import logging
import os
import secrets
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from tempfile import TemporaryDirectory

HOST = "127.0.0.1"
STORE_BYTES = 512 * 2**20
"""Of shared memory for the rows that are on their way to workers."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
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
        ConnectionError: there is none at the address.
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
        own = {"include_dashboard": False, "object_store_memory": STORE_BYTES, "_temp_dir": folder}
        ray.init(
            address=address or "local",
            _node_ip_address=HOST if address is None or _is_loopback(address) else None,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **({} if address else own),
        )
        try:
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
            context = DataContext.get_current()
            context.enable_progress_bars = False
            context.issue_detectors_config.detectors = []
            yield
        finally:
            ray.shutdown()


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
