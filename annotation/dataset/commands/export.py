"""``concord dataset export``."""

import argparse
import json

from annotation.dataset.commands.files import add_dataset, add_file, check_output, samples, write_json
from annotation.dataset.composites import grouped
from annotation.dataset.label_studio import LABEL_CONFIG, LOCAL_FILES, task
from annotation.record import Annotation, read_records
from concord_client.atomic_file import write_atomically
from concord_client.commands import UsageError

HELP = "write expressions in the form that something else reads"
LINES, COCO, LABEL_STUDIO = "lines", "coco", "label-studio"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_file(parser, "FILE")
    words = (
        f"{LINES}: what benchmarks.quality reads, without annotators; {COCO}: masks as run lengths; {LABEL_STUDIO}: "
        "tasks to import there, and beside them the labeling interface as FILE.xml"
    )
    parser.add_argument("--form", choices=(LINES, COCO, LABEL_STUDIO), required=True, help=words)
    add_dataset(parser, f"needed for {COCO} and {LABEL_STUDIO}")
    words = f"of {LABEL_STUDIO}: the URL of the data set's folder, as it is there (%(default)s)"
    parser.add_argument("--images", metavar="URL", default=LOCAL_FILES, help=words)


def run(args: argparse.Namespace) -> None:
    """Writes the file.

    Raises:
        UsageError: flags do not belong together.
        DatasetError: the annotations or the data set cannot be used.
    """
    check_output(args, args.output)
    if args.form != LINES and not args.dataset:
        raise UsageError(f"--form {args.form} needs --dataset, the composites and their masks")
    records = read_records(args.file)
    if args.form == LINES:
        kept = dict.fromkeys((each.composite, each.expression) for each in records if isinstance(each, Annotation))
        lines = [json.dumps({"composite": name, "expression": text}, ensure_ascii=False) for name, text in kept]
        write_atomically(args.output, "".join(f"{line}\n" for line in lines).encode())
        return
    composites = grouped(records, samples(args.dataset))
    if args.form == COCO:
        # Its run lengths are made by a package of the extra `annotate`.
        from annotation.dataset.coco import coco

        write_json(args.output, coco(composites))
        return
    write_json(args.output, [task(sample, group, args.images) for sample, group in composites])
    write_atomically(args.output.with_suffix(".xml"), LABEL_CONFIG.encode())
