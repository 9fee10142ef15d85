"""What is taken home: the result that was kept, in the strength that is shown, as picture or layer; or the mask."""

from collections.abc import Callable, Mapping

from concord.arrays import Pixels
from concord.images import decode_image
from concord.limits import Limits
from concord.png import encode_png
from concord_client.composition import at_strength, layer_of
from facade.page.tab_state import TabState, read_again


def _picture(before: Pixels, after: Pixels) -> Pixels:
    return after


_FORMS: Mapping[str, tuple[str, Callable[[Pixels, Pixels], Pixels]]] = {
    "picture": ("harmonized.png", _picture),
    "layer": ("layer.png", layer_of),
}
"""The file's name and the pixels of it, given the photograph and the result, by the button."""

FORMS = (*_FORMS, "mask")


def download(tab: TabState, form: str, strength: float, limits: Limits) -> tuple[str, bytes]:
    """The file's name and its content.

    Raises:
        Forgotten: a file of the tab was swept away.
        InvalidInput: the strength is not allowed, or there can be no layer.
    """
    if form == "mask":
        return "mask.png", tab.mask or b""
    name, make = _FORMS[form]
    answer = read_again(tab.results[tab.chosen].path)
    if form == "picture" and strength == 1:
        return name, answer
    before, after = (decode_image(encoded, limits) for encoded in (tab.photograph.encoded(), answer))
    pixels = make(before.pixels, at_strength(before.pixels, after.pixels, strength))
    return name, encode_png(pixels, after.icc_profile)
