"""The working tree is compared with a commit's files, and nothing of them is left."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import quick

GIT = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)

pytestmark = pytest.mark.skipif(GIT.returncode != 0, reason="the files are not in a repository of git")


def trees() -> str:
    return subprocess.run(["git", "worktree", "list"], capture_output=True, text=True, check=True).stdout


def test_a_commit_s_files_are_there_for_as_long_as_they_are_needed() -> None:
    with quick.tree_of("HEAD") as tree:
        assert (tree / "concord_client" / "__init__.py").is_file() and tree != Path.cwd()
        assert str(tree) in trees()
    assert not tree.exists() and str(tree) not in trees()


def test_a_commit_that_is_not_there_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    assert quick.main(["--compare", "no-such-commit"]) == 1
    said = capfd.readouterr().err
    assert "invalid reference: no-such-commit" in said and "quick: " in said
