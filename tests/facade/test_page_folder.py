import os
import subprocess
import sys
import tempfile

import pytest

from facade.page.folder import Folder


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def folder():
    made = Folder()
    yield made
    made.remove()


def age(file, seconds: float) -> None:
    then = file.stat().st_mtime - seconds
    os.utime(file, (then, then))


def test_nobody_else_may_look_inside(folder):
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_it_is_gone_when_it_is_removed_and_that_may_be_twice(folder):
    folder.write("a.png", b"a")
    folder.remove()
    assert not folder.path.exists()
    folder.remove()


def test_what_a_crashed_program_left_is_removed_by_the_next(tmp_path):
    crash = "import os; from facade.page.folder import Folder; Folder().write('a.png', b'a'); os._exit(1)"
    subprocess.run([sys.executable, "-c", crash], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    (left,) = tmp_path.iterdir()
    Folder().remove()
    assert not left.exists()


def test_what_a_living_program_uses_stays(folder):
    kept = folder.write("a.png", b"a")
    Folder().remove()
    assert kept.exists()


def test_files_that_are_not_used_are_swept_away_with_their_folders(folder):
    old, new = folder.write("old.png", b"a"), folder.write("new.png", b"b")
    age(old, 3600)
    folder.sweep()
    assert not old.parent.exists() and new.exists()
    assert Folder().remove() is None and folder.path.exists(), "its lock is still there"


def test_of_too_much_the_oldest_goes_first(folder):
    files = [folder.write(f"{number}.png", bytes(100)) for number in range(4)]
    for number, file in enumerate(files):
        age(file, 40 - 10 * number)
    folder.sweep(most_bytes=250)
    assert [file.exists() for file in files] == [False, False, True, True]
