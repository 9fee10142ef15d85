"""The rows of a folder of images: each with its mask and its text."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from concord.bulk.order import Order
from concord.bulk.place import Place
from concord_client.commands import UsageError
from concord_client.commands.plan import IMAGE_SUFFIXES, STEM, one_of_stem
from concord_client.errors import InvalidInput
from concord_client.expressions import Expressions

NO_MASK, NO_TEXT = "missing_mask", "missing_text"


def images_in(names: Sequence[str]) -> list[str]:
    """Those that are called like images."""
    return [name for name in names if PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES]


class Folder:
    """Says what is asked for an image.

    Raises:
        UsageError: the file of texts cannot be used.
        InvalidInput: there is no such folder of masks.
    """

    def __init__(self, order: Order, place: Place, names: Sequence[str]) -> None:
        self.place = place
        self.names = names
        self._masks = _Masks(order.masks) if order.masks else None
        self._texts = _expressions(order.expressions) if order.expressions else None
        self._text = order.text

    def row(self, name: str) -> dict[str, str | None]:
        """The paths of the image and its mask, and its text.

        Raises:
            InvalidInput: the image has no mask, or no text.
        """
        text = self._text
        if self._texts is not None and (text := self._texts.of(name)) is None:
            raise InvalidInput(NO_TEXT, "TEXT", f"there is no expression for {name!r}")
        mask = self._masks.of(name) if self._masks else None
        return {"id": name, "image_path": self.place.at(name), "mask_path": mask, "text": text}

    @property
    def given(self) -> set[str]:
        """What its rows have, by the fields of the request."""
        text = self._text is not None or self._texts is not None
        return {"image", *(["mask"] if self._masks else []), *(["text"] if text else [])}

    @property
    def masks(self) -> Place | None:
        """Where the masks are."""
        return self._masks.place if self._masks else None


class _Masks:
    """Masks of the same stem, sub-folders kept; or by a path with ``{stem}``."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern if STEM in pattern else None
        self.place = Place.of(pattern.partition(STEM)[0].rpartition("/")[0] or "." if self._pattern else pattern)
        with self.place.asked("MASK"):
            if not self.place.system.isdir(self.place.path):
                raise FileNotFoundError
        self._stems: Mapping[str, list[str]] = {} if self._pattern else _by_stem(images_in(self.place.names()))

    def of(self, name: str) -> str:
        image = PurePosixPath(name)
        if self._pattern:
            return Place.of(self._pattern.replace(STEM, image.stem)).path
        try:
            return self.place.at(one_of_stem(self._stems.get(str(image.with_suffix("")), [])))
        except LookupError as error:
            raise InvalidInput(NO_MASK, "MASK", f"{name!r}: {error.args[0]}", "one mask for each image") from None


def _by_stem(names: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(str(PurePosixPath(name).with_suffix("")), []).append(name)
    return found


def _expressions(file: str) -> Expressions:
    read = Expressions.parse(Path(file).read_bytes())
    if read.problems:
        number, problem = next(iter(read.problems.items()))
        raise UsageError(f"{file}, line {number}: {problem}")
    return read
