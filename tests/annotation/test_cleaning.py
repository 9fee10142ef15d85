"""Cleaning: what is repaired, what is removed for which reason, and what is listed for a second look."""

import pytest

from annotation.dataset.cleaning import BADLY_FOUND, DOUBLED, SKIPPED, TOO_MANY, Rules, clean
from annotation.dataset.cleaning_report import numbers, report
from annotation.dataset.duplicates import alike
from annotation.dataset.patterns import REFUSED, composed, refusal, repaired
from annotation.record import Annotation, Record, Skipped, Source

CAT = "HCOCO/c1_1_1.jpg"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1. the cat (left).", "the cat (left)"),
        ("“the cat”!!", "the cat"),
        ("the <b>red</b> car 🚗", "the red car"),
        ("the dogâ€™s  bowl", "the dog's bowl"),
        ("ｔｈｅ　ｃａｔ", "the cat"),
        ("the\u200b cat\u202e", "the cat"),
        ("*the*_cat", "the cat"),
        ("cafe\u0301", "café"),
        ("左边的猫。", "左边的猫"),
        ("बिल्ली", "बिल्ली"),
        ("man in no. 10 shirt", "man in no. 10 shirt"),
    ],
)
def test_characters_are_repaired_and_words_of_any_script_stay(written: str, meant: str) -> None:
    text = composed(written)
    assert repaired(text) == meant and refusal(text) is None and refusal(meant) is None


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("see https://x.org", "a link or an address"),
        ("ada@x.org", "a link or an address"),
        ("IMG_1.jpg", "a file or code"),
        ("{cat}", "a file or code"),
        ("N/A", "a placeholder"),
        ("asdfgh", "a placeholder"),
        ("aaaah the cat", "one letter again and again"),
        ("???", "without a letter"),
        ("10 %", "without a letter"),
        ("cat " * 60, "too long"),
    ],
)
def test_what_is_no_expression_has_a_reason(written: str, reason: str) -> None:
    assert refusal(composed(written)) == reason and reason in REFUSED


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("The cat.", "a cat", True),
        ("the teddy bear", "the tedy bear", True),
        ("the red shirt", "the red skirt", False),
        ("a red car", "a bed car", False),
        ("the dog left of the man", "the man left of the dog", False),
        ("player 10", "player 11", False),
        ("the cat", "the black cat", False),
    ],
)
def test_slips_say_the_same_and_other_words_do_not(first: str, second: str, same: bool) -> None:
    assert alike(first, second) == alike(second, first) == same


def test_every_record_is_kept_or_removed_for_a_reason() -> None:
    records: list[Record] = [
        Annotation(CAT, "the cat", 0.3, Source.RULES, "ada"),
        Annotation(CAT, "A cat!", 0.8, Source.OWN, "grace"),
        Annotation(CAT, "grey animal", 0.05),
        Annotation(CAT, "animal on the left", 0.4),
        Annotation(CAT, "animal by the door", None),
        Annotation(CAT, "small animal", 0.35),
        Skipped("HCOCO/c2_1_1.jpg", "ada"),
        Annotation("HFlickr/f1_1_1.jpg", "???", 0.9),
    ]
    given = list(records)
    cleaned = clean(records, Rules(most=3))
    assert records == given
    assert cleaned.kept == [
        Annotation(CAT, "A cat", 0.8, Source.OWN, "grace"),
        Annotation(CAT, "animal on the left", 0.4),
        Annotation(CAT, "small animal", 0.35),
    ]
    assert [(each.record, each.reason) for each in cleaned.removed] == [
        (records[0], DOUBLED),
        (records[2], BADLY_FOUND),
        (records[4], TOO_MANY),
        (records[6], SKIPPED),
        (records[7], "without a letter"),
    ]
    assert [each.iou for each in cleaned.low] == [0.35, 0.4] and cleaned.unknown == []
    told = numbers(cleaned, Rules(most=3))
    assert told["records"] == len(records) and told["removed"] == dict.fromkeys(told["removed"], 1)
    assert (told["composites"], told["composites_left_out"], told["repaired"]) == (3, 2, 1)
    text = report(cleaned, Rules(most=3))
    assert "2 of 3 composites (66.7 %) have no expression left" in text and "| 0.35 | HCOCO/c1_1_1.jpg |" in text


def test_an_expression_without_an_iou_is_kept_and_listed_and_the_same_words_of_other_composites_are_others() -> None:
    records = [Annotation(CAT, "the cat"), Annotation("HCOCO/c1_1_2.jpg", "the cat")]
    cleaned = clean(records, Rules())
    assert cleaned.kept == cleaned.unknown == records and cleaned.low == []


def test_cleaning_again_changes_nothing() -> None:
    records = [Annotation(CAT, each, 0.6) for each in ("“The cat” !", "2. dog", "the dog", "x", "--a man & a dog..")]
    once = clean(records, Rules())
    again = clean(once.kept, Rules())
    assert again.kept == once.kept and again.removed == [] and again.repaired == 0
