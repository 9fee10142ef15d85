"""``concord <task>``: the subcommand of a task, made of the fields of its request and its answer.

One request takes ``--image FILE`` and the like. Where a task has an image, ``--images`` takes many: the request's first
image is what a run goes through, and others are found beside it, such as ``--masks``.
"""

import argparse
import asyncio
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

from concord_client.commands import UsageError
from concord_client.commands.batch import Method, Run, run_all, run_one
from concord_client.commands.flags import add_connection_arguments, given_settings, numbers, read_connection
from concord_client.commands.plan import STEM, Job, Plan, check_numbered, check_outputs, find_images, plan_folder
from concord_client.tasks.fields import TensorField
from concord_client.tasks.request import Request

CONCURRENCY = 4
_EXPRESSIONS = "--expressions"
_SETTINGS = """\
The settings of a model are flags too: `concord models` lists them."""
_FILES = """\
Answers are PNG; a photograph that is called something.psd has layers: the input, and what was harmonized with its mask.
A file that exists is replaced, at once and only when the answer is complete; an input never is, and no two answers of a
run have the same name. A run of many leaves out what is there already, so that it goes on where it was interrupted; its
report is report.json in the folder of its answers."""
_NUMBERED = """\
Of several pictures in an answer the best has the name that is given; the others have it with -2 and so on before the
suffix, and are not written for {walked}s."""


class TaskCommand:
    """A task's subcommand, see `concord_client.command`."""

    takes_settings = True

    def __init__(self, request: type[Request[Any]]) -> None:
        self._request = request
        self._images = [field for field in request.fields() if field.kind == "image"]
        self._texts = [field for field in request.fields() if field.kind == "text"]
        self._values = [field for field in request.fields() if field.kind in ("text", "numbers")]
        self._answers = [field for field in request.answer_type().fields() if field.holds_images]
        self.HELP = request.about()
        self.DESCRIPTION = "\n\n".join(
            [self.HELP, "\n".join(self._examples()), *([_FILES] if self._answers else []), *self._numbered(), _SETTINGS]
        )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares the flags."""
        alternatives: dict[str, argparse._MutuallyExclusiveGroup] = {}
        for names in self._request.ONE_OF:
            group = parser.add_mutually_exclusive_group(required=True)
            alternatives |= dict.fromkeys(names, group)
        for field in (*self._images, *self._values):
            group = alternatives.get(field.name) or parser.add_mutually_exclusive_group(required=field.required)
            if field.kind == "text":
                group.add_argument(_flag(field), metavar="WORDS", help=field.about)
                if self._images and field is self._texts[0]:
                    words = f'for {_flag(self._images[0])}s: JSON lines, {{"image": NAME, "text": WORDS}}'
                    group.add_argument(_EXPRESSIONS, metavar="FILE", type=Path, help=words)
                continue
            if field.kind == "numbers":
                words = f"{field.about}, with commas between them; may be given several times"
                group.add_argument(_flag(field), metavar="NUMBERS", type=numbers, action="extend", help=words)
                continue
            group.add_argument(_flag(field), metavar="FILE", type=Path, help=field.about)
            if field is self._images[0]:
                words = "many: files, quoted patterns or folders"
                group.add_argument(f"{_flag(field)}s", metavar="PATTERN", nargs="+", help=words)
            else:
                words = f"for {_flag(self._images[0])}s: a folder, or a path with {STEM} in it"
                group.add_argument(f"{_flag(field)}s", metavar="PATTERN", help=words)
        if self._answers:
            self._add_outputs(parser)
        if self._images:
            words = f"for {_flag(self._images[0])}s: do again what is there already"
            parser.add_argument("--again", action="store_true", default=None, help=words)
            words = f"for {_flag(self._images[0])}s: requests in flight (default: {CONCURRENCY})"
            parser.add_argument("--concurrency", metavar="N", type=_positive_count, default=CONCURRENCY, help=words)
        parser.add_argument("--model", metavar="NAME", help="what answers; `concord models` lists the models")
        parser.add_argument(
            "--set", metavar="NAME=VALUE", action="append", default=[], help="a setting of the model, as --NAME VALUE"
        )
        add_connection_arguments(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Asks for what the flags name; returns the exit code."""
        connection = read_connection(args)
        method = Method(self._request, args.model, given_settings(args.set, args.unknown))
        for field in self._answers[1:]:
            if getattr(args, f"{field.name}_output") is not None and getattr(args, field.name, None) is not None:
                raise UsageError(f"--{field.name}-output goes without --{field.name}; there is none to write")
        if self._images and getattr(args, f"{self._images[0].name}s") is not None:
            return asyncio.run(run_all(self._plan(args), method, connection, args.concurrency, self._run(args)))
        return asyncio.run(run_one(self._single_job(args), method, connection))

    def _add_outputs(self, parser: argparse.ArgumentParser) -> None:
        output = parser.add_mutually_exclusive_group(required=True)
        output.add_argument("-o", "--output", metavar="FILE", type=Path, help="the PNG to write")
        for field in self._answers[1:]:
            words = f"where to write {field.about}; a folder for many"
            parser.add_argument(f"--{field.name}-output", metavar="PATH", type=Path, help=words)
        if self._images:
            words = f"for {_flag(self._images[0])}s: the folder to write PNG to"
            output.add_argument("--output-dir", metavar="FOLDER", type=Path, help=words)

    def _single_job(self, args: argparse.Namespace) -> Job:
        many = [*(f"{_flag(field)}s" for field in self._images), _EXPRESSIONS, "--output-dir", "--again"]
        if odd := _present(args, many):
            raise UsageError(f"{odd} goes with {many[0]}; one image takes {_flag(self._images[0])} and -o")
        first = {field.name: args.output for field in self._answers[:1]}
        job = Job(_given(args, (*self._images, *self._values)), first | _given(args, self._answers[1:], "_output"))
        check_outputs([job])
        check_numbered(job, [field.name for field in self._answers if field.kind == "images"])
        for path in job.outputs.values():
            if not path.parent.is_dir():
                raise UsageError(f"the folder {path.parent} does not exist")
        return job

    def _run(self, args: argparse.Namespace) -> Run:
        return Run(args.output_dir if self._answers else None, bool(args.again))

    def _plan(self, args: argparse.Namespace) -> Plan:
        walked, *others = self._images
        if odd := _present(args, [*map(_flag, self._images), "--output"]):
            plural = ", ".join(f"{_flag(field)}s" for field in self._images)
            raise UsageError(f"{odd} goes with {_flag(walked)}; many images take {plural} and --output-dir")
        first = {field.name: args.output_dir for field in self._answers[:1]}
        return plan_folder(
            walked.name,
            find_images(getattr(args, f"{walked.name}s")),
            first | _given(args, self._answers[1:], "_output"),
            values=_given(args, self._values),
            patterns=_given(args, others, "s"),
            expressions={self._texts[0].name: args.expressions} if getattr(args, "expressions", None) else {},
        )

    def _numbered(self) -> list[str]:
        several = any(field.kind == "images" for field in self._answers)
        return [_NUMBERED.format(walked=_flag(self._images[0]))] if several and self._images else []

    def _examples(self) -> list[str]:
        command = f"  concord {self._request.TASK}"
        output = " -o out.png" if self._answers else ""
        lines = [f"{command} {' '.join(map(_example, way))}{output}" for way in self._ways()]
        if self._images and self._answers:
            rest = "".join(f" {_example(field)}" for field in self._ways()[0] if field not in self._images)
            lines.append(f"{command} {_flag(self._images[0])}s 'photos/*.jpg'{rest} --output-dir out")
        return lines

    def _ways(self) -> list[list[TensorField]]:
        """The fields of a smallest request, once for each of those of which one is to be given."""
        fields = {field.name: field for field in self._request.fields()}
        required = [field for field in fields.values() if field.required]
        return [required + [fields[name] for name in names] for names in product(*self._request.ONE_OF)]


def _flag(field: TensorField) -> str:
    return f"--{field.name}"


def _example(field: TensorField) -> str:
    if field.kind == "numbers":
        return f"{_flag(field)} {','.join(f'{number:g}' for number in field.example)}"
    return f'{_flag(field)} "the teddy bear"' if field.kind == "text" else f"{_flag(field)} {field.name}.png"


def _present(args: argparse.Namespace, flags: Iterable[str]) -> str:
    """Those of the flags that are given, as a list in words."""
    names = {flag: flag.removeprefix("--").replace("-", "_") for flag in flags}
    return ", ".join(flag for flag, name in names.items() if getattr(args, name, None) is not None)


def _given(args: argparse.Namespace, fields: Iterable[TensorField], suffix: str = "") -> dict[str, Any]:
    """What the flags of fields, or those with a suffix, are given, by the fields' names."""
    values = {field.name: getattr(args, f"{field.name}{suffix}") for field in fields}
    return {name: value for name, value in values.items() if value is not None}


def _positive_count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)
