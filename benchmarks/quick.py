"""`python -m benchmarks.quick`: whether the working tree is slower than a commit, in less than five minutes.

Both serve with `concord serve`, each with the files and the profile of its own tree, and answer the same requests in
alternating blocks.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import OUTPUT
from benchmarks.drills import service
from benchmarks.load.__main__ import compared
from benchmarks.load.comparison import FEWEST_PAIRS, SLOWER
from benchmarks.load.recipe import Recipe, read_json
from benchmarks.subjects import diffusion, text_guided
from concord.errors import ConcordError
from concord.repository.loops import SUFFIX

SECONDS, WARM_UP = 18.0, 2.0
RECIPES: Mapping[str, Recipe] = {
    "a text, 512 pixels": Recipe(text_guided().name, clients=(1, 8)),
    "a text, 12 megapixels": Recipe(text_guided().name, width=4000, height=3000),
    "diffusion": Recipe(f"{diffusion().name}{SUFFIX}"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quick", description=__doc__)
    parser.add_argument("--compare", default="HEAD", metavar="COMMIT", help="default: %(default)s")
    commit = parser.parse_args(arguments).compare
    try:
        slower = [name for name in against(commit) if name]
    except (ConcordError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"quick: {error}", file=sys.stderr)
        return 1
    print(f"\nslower than {commit}: {', '.join(slower) or 'nothing'}")
    return int(bool(slower))


def against(commit: str) -> Iterator[str]:
    """Compares every recipe and prints it; names those that are slower, empty for the others.

    Raises:
        ConcordError, RuntimeError: a server does not start or answer.
        subprocess.CalledProcessError: there is no such commit.
    """
    with ExitStack() as stack:
        before = stack.enter_context(serving(stack.enter_context(tree_of(commit))))
        here = stack.enter_context(serving(Path.cwd()))
        for number, (name, recipe) in enumerate(RECIPES.items()):
            print(f"\n# {name}")
            recipe = recipe.changed(seconds=SECONDS, warm_up=WARM_UP)
            path = OUTPUT / f"quick_{number}.json"
            compared(recipe.changed(url=before), recipe.changed(url=here), FEWEST_PAIRS, path)
            found = read_json(path, "compare", "a comparison")["comparisons"]
            yield name if any(each["p50"]["verdict"] == SLOWER for each in found) else ""


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    with TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", tree, commit], check=True)  # noqa: S603, S607
        try:
            # Triton's stubs would find the installed client, which is that of the working tree.
            (tree / "concord_client").symlink_to("client/concord_client")
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], check=True)  # noqa: S603, S607


@contextmanager
def serving(tree: Path) -> Iterator[str]:
    """The HOST:PORT of the gRPC of a tree's own server; RuntimeError if it does not start."""
    found = {"PYTHONPATH": f"{tree}:{tree / 'client'}"}
    with (
        TemporaryDirectory() as folder,
        service.serving(Path(folder), found, within=("env", f"--chdir={tree}")) as served,
    ):
        yield served.grpc_url


if __name__ == "__main__":
    sys.exit(main())
