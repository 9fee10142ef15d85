"""Statistics of a data set, and the figures that are drawn of them."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from annotation.dataset.figures import encoded, figures
from annotation.dataset.statistics import ALL, read_test_sets, report, statistics
from annotation.record import Annotation, DatasetError, Skipped, Source

RECORDS = [
    Annotation("HCOCO/c1_1_1.jpg", "the cat", 0.5, Source.RULES),
    Annotation("HCOCO/c1_1_1.jpg", "the grey cat on the left", 0.7),
    Annotation("HCOCO/c2_1_1.jpg", "a dog"),
    Annotation("Hday2night/d1_1_1.jpg", "the house"),
    Skipped("Hday2night/d2_1_1.jpg"),
    Skipped("HCOCO/c1_1_1.jpg"),
]


def test_a_data_set_is_counted_by_sub_set() -> None:
    found = statistics(RECORDS, {"HCOCO": {"c2_1_1"}})
    assert list(found.subsets) == ["HCOCO", "Hday2night", ALL]
    coco, night, whole = found.subsets.values()
    assert (coco.composites, coco.skipped, coco.expressions, coco.training, coco.test) == (2, 0, 3, 2, 1)
    assert coco.iou == pytest.approx(0.6) and coco.words == pytest.approx(10 / 3)
    assert (night.composites, night.skipped, night.expressions, night.test, night.iou) == (1, 1, 1, None, None)
    assert (whole.composites, whole.expressions, whole.test) == (3, 4, None)
    assert found.expressions == {1: 2, 2: 1} and found.words == {2: 3, 6: 1}
    assert found.sources == {"own": 3, "rules": 1}
    assert "| HCOCO | 2 | 0 | 3 | 2 | 1 | 1.50 | 3.33 | 60.00 |" in report(found, {})


def test_the_test_set_is_that_of_the_lists(tmp_path: Path) -> None:
    (tmp_path / "HCOCO").mkdir()
    (tmp_path / "HCOCO" / "HCOCO_test.txt").write_text("composite_images/c2_1_1.jpg\n")
    assert read_test_sets(tmp_path) == {"HCOCO": {"c2_1_1"}}


def test_without_an_expression_there_is_nothing_to_count() -> None:
    with pytest.raises(DatasetError, match="no expression"):
        statistics([Skipped("HCOCO/c1_1_1.jpg")])


def test_a_figure_depends_on_nothing_but_the_numbers() -> None:
    found, other = statistics(RECORDS), statistics(RECORDS[:3])
    for name, figure in figures(found).items():
        drawn = encoded(figure, "svg")
        assert b"<svg" in drawn and encoded(figures(found)[name], "svg") == drawn
        assert encoded(figures(other)[name], "svg") != drawn
    with Image.open(BytesIO(encoded(figures(found)["words"], "png"))) as picture:
        assert picture.format == "PNG" and len(picture.convert("L").getcolors() or ()) > 2
