import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

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
    age(old.parent, 3600)
    folder.sweep()
    assert not old.parent.exists() and new.exists()
    assert Folder().remove() is None and folder.path.exists(), "its lock is still there"


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_set_takes_no_file_away_and_keeps_none_for_longer(folder, monkeypatch, days):
    file = folder.write("a.png", b"a")
    later = time.time
    monkeypatch.setattr(time, "time", lambda: later() + days * 86_400)
    folder.sweep()
    assert file.exists()
    # What is used from now on has the new clock's times.
    os.utime(file, (time.time(), time.time()))
    folder.sweep()
    assert file.exists()
    age(file, 3600)
    folder.sweep()
    assert not file.exists()


def test_of_too_much_the_oldest_goes_first(folder):
    files = [folder.write(f"{number}.png", bytes(100)) for number in range(4)]
    for number, file in enumerate(files):
        age(file, 40 - 10 * number)
    folder.sweep(most_bytes=250)
    assert [file.exists() for file in files] == [False, False, True, True]


def test_a_folder_that_was_just_made_for_a_file_stays(folder):
    made = folder.path / "made"
    made.mkdir()
    folder.sweep()
    assert made.exists()


def test_files_that_vanish_while_it_sweeps_do_not_end_the_sweep(folder):
    """Others put files in, move them and take them away all the time, as uploads do."""
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            file = folder.write("a.png", b"a")
            file.rename(file.with_name("b.png"))
            shutil.rmtree(file.parent)

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(50):
            old = folder.write("old.png", b"a")
            age(old, 3600)
            folder.sweep()
            assert not old.exists()
    finally:
        done.set()
        for thread in threads:
            thread.join()
