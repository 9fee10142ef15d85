"""What the command refuses, in words, before anything is served."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pytest

from annotation import command
from concord_client.commands import UsageError
from tests.annotation.scenes import write_scenes
from tests.commands import Finished, run


def annotate(*flags: object) -> Finished:
    def main(given: Sequence[str]) -> int:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        try:
            return command.run(parser.parse_args(given))
        except UsageError as error:
            parser.error(str(error))

    return run(main, *flags, "--no-confidence", "--port", 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 1)
    return folder


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--host", "0.0.0.0"), "0.0.0.0 is not loopback, and there are no keys"),
        (("--captioner", "ftp://elsewhere", "model"), "--captioner: 'ftp://elsewhere'; allowed: http"),
        (("--captioner", "grpc://elsewhere", "model"), "host:port"),
        (("--answers", "oracle://elsewhere/name"), "it is no address of a database"),
        (("--annotators", "0"), "allowed: a whole number from 1 to 10"),
        (("--qualification-threshold", "2"), "allowed: a number from 0 to 1"),
    ],
)
def test_a_wrong_flag_is_wrong_usage(flags: tuple[str, ...], words: str, folder: Path) -> None:
    refused = annotate("--dataset", folder, *flags)
    assert refused.returncode == 2 and words in refused.stderr


def test_a_folder_without_the_layout_is_said(tmp_path: Path) -> None:
    refused = annotate("--dataset", tmp_path)
    assert refused.returncode == 1 and "no composite_images in any of HCOCO" in refused.stderr


def test_a_qualification_that_cannot_be_asked_is_said(folder: Path, tmp_path: Path) -> None:
    known = tmp_path / "known.jsonl"
    known.write_text('{"composite": "HCOCO/c0_1_1.jpg", "expression": "the star"}\n')
    refused = annotate("--dataset", folder, "--qualification", known)
    assert refused.returncode == 1 and "has 1 composites; 10 are to be asked" in refused.stderr
    known.write_text("{}\n")
    refused = annotate("--dataset", folder, "--qualification", known)
    assert refused.returncode == 1 and "line 1: no record" in refused.stderr


def test_a_store_that_cannot_be_opened_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = annotate("--dataset", folder, "--answers", f"sqlite:///{tmp_path}/file/answers.db", "--export", "x")
    assert refused.returncode == 1 and "cannot be made" in refused.stderr and "Traceback" not in refused.stderr
    (tmp_path / "answers.db").write_text("no database, however long this text may be " * 100)
    refused = annotate("--dataset", folder, "--answers", f"sqlite:///{tmp_path}/answers.db", "--export", "x")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
