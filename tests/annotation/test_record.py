"""Records of annotations: what is written is read again, and a wrong line is named."""

from pathlib import Path

import pytest

from annotation.record import Annotation, DatasetError, Skipped, Source, read_records, write_records

RECORDS = [
    Annotation("HCOCO/c1_2_3.jpg", "the cat on the left", 0.81, Source.RULES, "ada"),
    Annotation("HCOCO/c1_2_3.jpg", "左边的猫", None, Source.OWN, "grace"),
    Skipped("Hday2night/d1_1_1.jpg", "ada"),
]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", RECORDS)
    assert read_records(tmp_path / "records.jsonl") == RECORDS


def test_a_line_is_what_a_reader_of_expressions_expects(tmp_path: Path) -> None:
    write_records(tmp_path / "records.jsonl", RECORDS)
    first, _, last = (tmp_path / "records.jsonl").read_text().splitlines()
    assert first == (
        '{"composite": "HCOCO/c1_2_3.jpg", "expression": "the cat on the left", "iou": 0.81, "source": "rules", '
        '"annotator": "ada"}'
    )
    assert last == '{"composite": "Hday2night/d1_1_1.jpg", "skipped": "none", "annotator": "ada"}'


def test_a_line_of_composite_and_expression_alone_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('\ufeff{"composite": "HCOCO/c1_2_3.jpg", "expression": "the cat"}\n\n')
    assert read_records(path) == [Annotation("HCOCO/c1_2_3.jpg", "the cat")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"the cat", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no record"),
        (b'{"composite": "HCOCO/a.jpg"}', "no record"),
        (b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "skipped": "none"}', "no record"),
        (b'{"composite": "a.jpg", "expression": "the cat"}', "composite is 'a.jpg'"),
        (b'{"composite": "../a.jpg", "expression": "the cat"}', "composite is '../a.jpg'"),
        (b'{"composite": "HCOCO/..", "expression": "the cat"}', "composite is 'HCOCO/..'"),
        (b'{"composite": 3, "expression": "the cat"}', "composite is 3"),
        (b'{"composite": "HCOCO/a.jpg", "expression": " "}', "expression is ' '"),
        (b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "iou": 1.1}', "iou is 1.1"),
        (b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "iou": NaN}', "iou is nan"),
        (b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "iou": true}', "iou is True"),
        (
            b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "source": "me"}',
            "source is 'me'; expected one of rules",
        ),
        (b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "source": []}', "source is"),
        (b'{"composite": "HCOCO/a.jpg", "expression": "the cat", "annotator": 3}', "annotator is 3"),
        (b'{"composite": "HCOCO/a.jpg", "skipped": "all"}', "skipped is 'all'"),
    ],
)
def test_a_wrong_line_is_named(line: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'{"composite": "HCOCO/a.jpg", "expression": "the cat"}\n' + line + b"\n")
    with pytest.raises(DatasetError) as refused:
        read_records(path)
    assert "line 2: " in str(refused.value) and words in str(refused.value)
