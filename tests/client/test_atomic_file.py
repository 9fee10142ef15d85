import os
import struct

import pytest

from concord_client.atomic_file import write_atomically


def test_a_file_is_written_in_full_and_nothing_is_left_beside_it(tmp_path):
    write_atomically(tmp_path / "ein Bild ü.png", b"content")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("ein Bild ü.png", b"content")]


def test_a_file_that_is_there_is_replaced(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o444], ids=oct)
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_is_replaced_keeps_its_owner(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    os.chown(path, 1234, 2345)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid, path.read_bytes()) == (1234, 2345, b"new")


def test_a_file_that_is_replaced_keeps_its_access_list(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    nobody = 0xFFFFFFFF
    # The owner, user 1234, the group, the mask, and others, as <linux/posix_acl_xattr.h> has them.
    entries = ((0x01, 6, nobody), (0x02, 4, 1234), (0x04, 4, nobody), (0x10, 4, nobody), (0x20, 0, nobody))
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", access)
    except OSError as error:
        pytest.skip(f"this file system has no access lists: {error}")
    write_atomically(path, b"new")
    assert os.getxattr(path, "system.posix_acl_access") == access and path.read_bytes() == b"new"


@pytest.mark.parametrize("interruption", [OSError("disk full"), KeyboardInterrupt()])
def test_an_interrupted_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch, interruption):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")

    def interrupt(descriptor):
        raise interruption

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(type(interruption)):
        write_atomically(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.png", b"old")]


def test_the_file_behind_a_symbolic_link_is_replaced_and_the_link_stays(tmp_path):
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_name_of_the_greatest_length_is_possible(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_the_users_file_mode_mask_is_honoured(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomically(tmp_path / "out.png", b"content")
    finally:
        os.umask(old)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o640


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "missing" / "out.png", b"content")
