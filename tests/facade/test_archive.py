"""Archives from strangers: bounded, never on disk, and names that lead nowhere."""

import io
import struct
import zipfile

import pytest

from concord.errors import ConcordError, ImageTooLarge
from facade.batches.archive import Archive, ArchiveTooLarge, Bounds, InvalidArchive, SafeNames, ZipStream

BOUNDS = Bounds(files=3, bytes=2000, file_bytes=1500)


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_files_are_read_as_they_were():
    archive = Archive(zipped({"a/1.png": b"one", "2.png": b"two"}), BOUNDS)
    assert {name: archive.read(name) for name in archive.names} == {"a/1.png": b"one", "2.png": b"two"}


def test_folders_and_hidden_files_are_passed_over():
    content = zipped({"a/": b"", "a/1.png": b"x", "__MACOSX/a/._1.png": b"x", ".DS_Store": b"x"})
    assert Archive(content, BOUNDS).names == ["a/1.png"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"PK\x05\x06 no zip", id="a beginning alone"),
        pytest.param(zipped({"a.png": b"x" * 100})[:60], id="the first half"),
        pytest.param(zipped({}), id="an empty archive"),
        pytest.param(zipped({"folder/": b""}), id="a folder"),
    ],
)
def test_what_is_no_archive_of_files_is_refused(content):
    with pytest.raises(InvalidArchive):
        Archive(content, BOUNDS)


def test_more_files_than_allowed_are_refused():
    with pytest.raises(ArchiveTooLarge, match="4 files; allowed: at most 3"):
        Archive(zipped({f"{n}.png": b"" for n in range(4)}), BOUNDS)


def test_a_bomb_is_refused_by_what_it_says_of_itself():
    with pytest.raises(ArchiveTooLarge, match="2700 bytes unpacked; allowed: at most 2000"):
        Archive(zipped({f"{n}.png": bytes(900) for n in range(3)}), BOUNDS)


def test_a_large_file_in_a_small_archive_is_refused_alone():
    archive = Archive(zipped({"large.png": bytes(1600), "small.png": b"x"}), BOUNDS)
    with pytest.raises(ImageTooLarge):
        archive.read("large.png")
    assert archive.read("small.png") == b"x"


def test_bytes_are_counted_and_not_believed():
    content = zipped({f"{n}.png": bytes(900) for n in range(3)})
    understated = content.replace(struct.pack("<I", 900), struct.pack("<I", 500))
    archive = Archive(understated, BOUNDS)
    with pytest.raises(ConcordError):
        for name in archive.names:
            assert len(archive.read(name)) <= 500


def test_a_file_that_is_read_again_and_again_counts_each_time():
    archive = Archive(zipped({"a.png": bytes(900)}), BOUNDS)
    archive.read("a.png")
    archive.read("a.png")
    with pytest.raises(ArchiveTooLarge):
        archive.read("a.png")


def test_a_huge_directory_is_refused_before_it_is_read():
    content = zipped({f"{n:0200}": b"" for n in range(5000)})
    with pytest.raises(ArchiveTooLarge, match="too many files"):
        Archive(content, BOUNDS)


def test_a_damaged_file_leaves_the_others_readable():
    content = zipped({"a.png": b"first file", "b.png": b"second file"}, zipfile.ZIP_STORED)
    archive = Archive(content.replace(b"first file", b"fjrst file"), BOUNDS)
    with pytest.raises(InvalidArchive, match="damaged"):
        archive.read("a.png")
    assert archive.read("b.png") == b"second file"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_that_cannot_be_unpacked_within_bounds_are_refused(method):
    with pytest.raises(InvalidArchive, match="rare"):
        Archive(zipped({"a.png": bytes(900)}, method), BOUNDS).read("a.png")


def test_an_encrypted_file_is_refused():
    content = bytearray(zipped({"a.png": b"secret"}))
    directory = content.index(b"PK\x01\x02")
    content[6] |= 1
    content[directory + 8] |= 1
    with pytest.raises(InvalidArchive, match="encrypted"):
        Archive(bytes(content), BOUNDS).read("a.png")


@pytest.mark.parametrize(
    "name, safe",
    [
        ("photo.jpg", "photo.png"),
        ("holiday/beach.jpeg", "holiday/beach.png"),
        ("../../etc/passwd", "etc/passwd.png"),
        ("/etc/passwd", "etc/passwd.png"),
        ("C:\\Windows\\win.ini", "C_/Windows/win.png"),
        ("..", "image.png"),
        ("", "image.png"),
        ("a\x00b\n.png", "a_b_.png"),
        ("con.jpg", "_con.png"),
        ("Blume Übergröße.webp", "Blume Übergröße.png"),
        ("<script>.png", "_script_.png"),
    ],
)
def test_names_in_an_answer_are_safe(name, safe):
    assert SafeNames().of(name, ".png") == safe


def test_names_in_an_answer_are_unique():
    names = SafeNames()
    assert [names.of(name, ".png") for name in ("a.jpg", "a.png", "A.webp")] == ["a.png", "a-2.png", "A-3.png"]


@pytest.mark.parametrize(
    ("sent", "safe"),
    [
        (["x.jpg", "x.png/y.jpg", "x.png/z.jpg"], ["x.png", "x.png-2/y.png", "x.png-2/z.png"]),
        (["x.png/y.jpg", "x.jpg", "X.webp"], ["x.png/y.png", "x-2.png", "X-3.png"]),
        (["a/x.jpg", "A/X.PNG/y.jpg"], ["a/x.png", "A/X.PNG-2/y.png"]),
        (["results.json/a.jpg", "RESULTS.JSON/b.jpg"], ["results.json-2/a.png", "RESULTS.JSON-2/b.png"]),
    ],
)
def test_no_file_of_an_answer_is_called_as_a_folder(sent, safe):
    names = SafeNames("results.json")
    assert [names.of(name, ".png") for name in sent] == safe


def test_a_long_name_is_cut():
    assert len(SafeNames().of("a" * 5000 + ".png", ".png")) <= 104
    assert SafeNames().of("/".join("abcdefghijkl"), ".png") == "e/f/g/h/i/j/k/l.png"


def test_an_archive_is_whole_when_it_was_sent_in_pieces():
    stream = ZipStream()
    files = {"a.png": b"one", "b.png": bytes(1_000_000), "c.png": b""}
    sent = b"".join(piece for name in files for piece in stream.add(name, files[name])) + b"".join(stream.close())
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == files
