"""Starts NVIDIA's ``tritonserver`` on the exported models of the repository, with the given arguments added.

``CONCORD_MODEL_CONFIG_NAME`` names the profile, such as ``cuda``.
"""

import os
import sys
import tempfile
from pathlib import Path

from concord.server.administration import Administration
from concord.server.choice import choose
from concord.server.declared import unexported
from concord.server.embedded import HOST
from concord.server.installation import MODEL_REPOSITORIES, needed_variables
from concord.server.inventory import Inventory
from concord.server.view import View


def command(profile: str, arguments: list[str], directory: Path) -> list[str]:
    """The server's command line; `directory` receives links to the models.

    Raises:
        ServerFailure: nothing has been exported, no network has a form for the profile, or a pipeline's declaration
            cannot be read.
    """
    left_out, choice = unexported(MODEL_REPOSITORIES), choose(MODEL_REPOSITORIES, profile)
    if left_out:
        print(f"concord: not served, since not exported: {', '.join(sorted(left_out))}", file=sys.stderr, flush=True)
    if choice.words:
        print(f"concord: {choice.words}", file=sys.stderr, flush=True)
    view = View(MODEL_REPOSITORIES)
    view.open(directory)
    view.show(Inventory.of(MODEL_REPOSITORIES, left_out).runs, choice.variants)
    return [
        "tritonserver",
        *(f"--model-repository={folder}" for folder in view.folders),
        "--disable-auto-complete-config",
        # For the container's own check of health.
        f"--http-address={HOST}",
        *Administration().options(),
        *arguments,
    ]


if __name__ == "__main__":
    profile, directory = os.environ.get("CONCORD_MODEL_CONFIG_NAME", ""), tempfile.mkdtemp(prefix="concord-")
    words = command(profile, sys.argv[1:], Path(directory))
    os.umask(0o077)
    os.execvpe(words[0], words, needed_variables())  # noqa: S606
