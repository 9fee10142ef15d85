"""``concord harmonize``: one photograph, or a folder of them."""

import argparse
import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from concord_client.commands import ExitCode, UsageError
from concord_client.commands.batch import Method, Report, harmonize_all, harmonize_one, print_report
from concord_client.commands.connection import add_connection_arguments, read_connection
from concord_client.commands.plan import Job, check_outputs, find_images, plan_folder
from concord_client.diffusion import DIFFHARMONY, Diffusion, Harmonizer

HELP = "harmonize the part of a photograph that a text or a mask names"
DESCRIPTION = """\
Makes one part of a photograph fit the light and colour of the rest. Every pixel outside that part stays as it was.

  concord harmonize --image photo.jpg --text "the teddy bear" -o out.png
  concord harmonize --image photo.jpg --mask mask.png -o out.png
  concord harmonize --model diffharmony --image photo.jpg --text "the teddy bear" -o out.png --steps 5 --seed 7
  concord harmonize --images 'photos/*.jpg' --text "the teddy bear" --output-dir out
  concord harmonize --images 'photos/*.jpg' --masks 'photos/masks/{stem}.png' --output-dir out

Answers are PNG. A file that exists is replaced, at once and only when the answer is complete; an input never is, and no
two answers of a run have the same name. A diffusion prints the seed that gives its picture again."""
CONCURRENCY = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the flags."""
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--image", metavar="FILE", type=Path, help="the photograph")
    images.add_argument("--images", metavar="PATTERN", nargs="+", help="photographs: files, quoted patterns or folders")
    part = parser.add_mutually_exclusive_group(required=True)
    part.add_argument("--text", help="names the part to harmonize; for --images in each of them")
    part.add_argument("--mask", metavar="FILE", type=Path, help="an image of the same size, white where the part is")
    part.add_argument("--masks", metavar="PATTERN", help="for --images: a folder, or a path with {stem} in it")
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument("-o", "--output", metavar="FILE", type=Path, help="the PNG to write")
    output.add_argument("--output-dir", metavar="FOLDER", type=Path, help="for --images: the folder to write PNG to")
    parser.add_argument(
        "--mask-output",
        metavar="PATH",
        type=Path,
        help="where to write the mask found for --text; a folder for --images",
    )
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=_positive_count,
        default=CONCURRENCY,
        help=f"for --images: requests in flight (default: {CONCURRENCY})",
    )
    _add_model_arguments(parser)
    add_connection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Harmonizes what the flags name and returns the exit code."""
    connection = read_connection(args)
    method = _method(args)
    if args.mask_output is not None and args.text is None:
        raise UsageError("--mask-output needs --text; with a mask given there is none to write")
    if args.image is not None:
        asyncio.run(harmonize_one(_single_job(args), method, connection))
        return ExitCode.OK
    jobs = _folder_jobs(args)
    report = Report()
    try:
        asyncio.run(harmonize_all(jobs, method, connection, args.concurrency, report))
    finally:
        print_report(report, len(jobs))
    return report.exit_code


def _add_model_arguments(parser: argparse.ArgumentParser) -> None:
    models: tuple[Harmonizer, ...] = get_args(Harmonizer)
    parser.add_argument(
        "--model", choices=models, default=models[0], help=f"what harmonizes (default: {models[0]}, in one pass)"
    )
    group = parser.add_argument_group("diffusion", f"for --model {DIFFHARMONY}; what is not given the server chooses")
    group.add_argument("--seed", metavar="N", type=int, help="of the noise; the same seed gives the same picture")
    group.add_argument("--steps", metavar="N", type=int, help="steps of denoising")
    group.add_argument("--sampler", metavar="NAME", help="euler_ancestral, dpmpp_2m or ddim")
    group.add_argument("--resolution", metavar="PIXELS", type=int, help="side of what is denoised: 256, 512, 768, 1024")
    group.add_argument("--decoder", metavar="NAME", help="plain or harmony")
    group.add_argument("--refine", action="store_true", default=None, help="let the refinement network follow")


def _method(args: argparse.Namespace) -> Method:
    try:
        diffusion = Diffusion(
            seed=args.seed,
            steps=args.steps,
            sampler=args.sampler,
            resolution=args.resolution,
            decoder=args.decoder,
            refine=args.refine,
        )
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    if args.model == DIFFHARMONY:
        return Method(args.model, diffusion)
    if diffusion != Diffusion():
        flags = ", ".join(f"--{name}" for name, value in asdict(diffusion).items() if value is not None)
        raise UsageError(f"{flags} goes with --model {DIFFHARMONY}; {args.model} has no steps")
    return Method(args.model, None)


def _single_job(args: argparse.Namespace) -> Job:
    if args.masks is not None or args.output_dir is not None:
        raise UsageError("--masks and --output-dir go with --images; --image takes --mask and -o")
    job = Job(args.image, args.output, args.text, args.mask, args.mask_output)
    check_outputs([job])
    for path in job.outputs:
        if not path.parent.is_dir():
            raise UsageError(f"the folder {path.parent} does not exist")
    return job


def _folder_jobs(args: argparse.Namespace) -> list[Job]:
    if args.mask is not None or args.output is not None:
        raise UsageError("--mask and -o go with --image; --images takes --masks and --output-dir")
    return plan_folder(
        find_images(args.images), args.output_dir, text=args.text, masks=args.masks, mask_output_folder=args.mask_output
    )


def _positive_count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
