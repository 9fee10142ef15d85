"""What is taken home: the result that was kept, in the strength that is shown, as picture or layers; or the mask."""

from concord.images import decode_image
from concord.limits import Limits
from concord.masks import decode_mask
from concord.png import encode_png
from concord_client.composition import at_strength, layer_of
from concord_client.psd import layered
from facade.page.tab_state import TabState, read_again

FORMS = {"picture": "{answer}.png", "layer": "layer.png", "psd": "{answer}.psd", "mask": "mask.png"}
"""The file's name by its form, which is also the button's; the answer is named by its task."""


def download(tab: TabState, form: str, strength: float, limits: Limits) -> bytes:
    """The file in one of the forms.

    Raises:
        Forgotten: a file of the tab was swept away.
        InvalidInput: the strength is not allowed, or the photograph is transparent where a layer would be.
    """
    if form == "mask":
        return tab.mask or b""
    answer = read_again(tab.results[tab.chosen].path)
    if form == "picture" and strength == 1:
        return answer
    before, full = (decode_image(encoded, limits) for encoded in (tab.photograph.encoded(), answer))
    after = at_strength(before.pixels, full.pixels, strength)
    if form == "psd":
        height, width = after.shape[:2]
        mask = decode_mask(tab.mask or b"", height, width, limits)
        return layered(before.pixels, after, mask, full.icc_profile)
    return encode_png(layer_of(before.pixels, after) if form == "layer" else after, full.icc_profile)
