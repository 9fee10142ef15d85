"""``concord tune``: writes the fastest variants that pass their gate on this machine as the profile ``tuned``."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from concord.errors import ConcordError, ServerFailure
from concord.instruments.arguments import positive
from concord.server.choice import unusable
from concord.server.installation import MODEL_REPOSITORIES
from concord.variants import DEFAULT, TUNED, variants

HELP = "find the fastest variant of every network that passes its gate on this machine, and write it as a profile"
DESCRIPTION = f"""{HELP}.

Every network is timed alone in the real server, with each profile of its folder. Then the pipelines answer held-out
pictures with the fastest variants, and their answers are compared with the default's. A variant is not chosen if it
fails its gate, has no comparison with the network it was built from, or was built from another network.
`concord serve --model-config-name {TUNED}` serves the choice."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "--model-repository",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder with models, may be given several times (default: the project's models and ensembles)",
    )
    parser.add_argument(
        "--scenes", type=positive, default=16, metavar="N", help="pictures of each kind for the gate (%(default)s)"
    )
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="of timing (%(default)s)")
    parser.add_argument(
        "--seconds", type=_seconds, default=2.0, metavar="S", help="of timing for each variant in a round (%(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="write nothing")


def run(args: argparse.Namespace) -> int:
    """Tunes, prints the result and writes the profile; returns the exit status."""
    from concord_client import ConcordClientError

    repositories = tuple(args.model_repository or MODEL_REPOSITORIES)
    try:
        for folder in repositories:
            if not folder.is_dir():
                raise ServerFailure("model repository", f"there is no folder {folder}")
        tune(repositories, args.scenes, args.rounds, args.seconds, args.dry_run)
    except (ConcordError, ConcordClientError) as error:
        _say(str(error))
        return 1
    return 0


def tune(repositories: Sequence[Path], scenes: int, rounds: int, seconds: float, dry_run: bool) -> None:
    """Times the variants, judges the fastest and writes the profile; see `DESCRIPTION`.

    Raises:
        ServerFailure: no network has variants, or a default cannot be served.
        ConcordError, ConcordClientError: the server does not answer.
    """
    # OpenCV and gRPC take a second to import, and `concord --help` imports this module.
    from concord.gates.pictures import HeldOut, gated
    from concord.gates.tasks import GATED
    from concord.instruments.networks import sample
    from concord.instruments.pipelines import networks, scale
    from concord.instruments.timing import machine
    from concord.tuning.choice import choose, groups
    from concord.tuning.stopwatch import time_variants
    from concord.tuning.tuned_profile import rows, write

    known = variants(repositories)
    pipelines = gated(repositories).values()
    scales = {model: scale(pipeline) for pipeline in pipelines for model in networks(pipeline, known)}
    candidates = [each for model in scales for each in known[model].values() if each.profile != TUNED]
    problems = {variant: problem for variant in candidates if (problem := variant.problem() or unusable(variant))}
    usable = [variant for variant in candidates if variant not in problems]
    defaults = {variant.model: variant for variant in usable if variant.profile == DEFAULT}
    if not defaults:
        tasks = ", ".join(dict.fromkeys(gate.task for gate in GATED))
        raise ServerFailure("model repository", f"no pipeline of a task that has a gate is there: {tasks}")
    profiles = {
        profile: [variant for variant in usable if variant.profile == profile and variant.model in defaults]
        for profile in dict.fromkeys(variant.profile for variant in usable)
    }
    if others := [model for model in known if model not in scales and known[model][DEFAULT].made]:
        _say(f"left as they are, because the gate does not ask for them: {', '.join(others)}")
    feeds = {model: sample(variant, scales[model]) for model, variant in defaults.items()}
    times = time_variants(profiles, feeds, rounds, seconds, _say)
    for default in defaults.values():
        if default in times.problems:
            raise ServerFailure(default.model, f"its default {times.problems[default]}")
    held_out = HeldOut.draw(scenes)
    if not held_out.photographs:
        _say("without scikit-image, the gate has scenes only, no photographs")
    choice = choose(groups(pipelines, known), times, held_out, repositories, _say)
    table = list(rows(choice, times, problems))
    print(f"{'network':14} {'profile':10} {'precision':9} {'ms':>9}  verdict")
    for row in table:
        spent = "" if row.milliseconds is None else f"{row.milliseconds:.1f}"
        print(f"{row.variant.model:14} {row.variant.profile:10} {row.variant.precision:9} {spent:>9}  {row.verdict}")
    if not dry_run:
        written = write(repositories, choice, times, table, machine())
        print(f"\nwrote {len(written)} configurations; `concord serve --model-config-name {TUNED}` serves them")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) <= 3600:
            return seconds
    raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a time of 0 to 3600 seconds")


def _say(words: str) -> None:
    print(f"tune: {words}", file=sys.stderr, flush=True)
