"""What a user should know about an answer that is no error."""

LOW_SCORE = 0.5
"""Below it a predicted mask is mostly pixels the network was unsure of; the lowest possible score is its threshold."""


def remarks(text: str | None, score: float | None, truncated: bool) -> list[str]:
    """Sentences about an answer, none where all is well.

    Args:
        text: the referring expression, None where a mask was given.
        score: of the predicted mask, 0..1; None where a mask was given.
        truncated: whether the text was cut.
    """
    sentences = []
    if truncated:
        sentences.append("the text is longer than the network reads; only its beginning was used")
    if score is not None:
        if score == 0:
            sentences.append(f"nothing was found for {text!r}: the mask is empty, so nothing is changed")
        elif score < LOW_SCORE:
            sentences.append(f"{text!r} was found with a low score ({score:.2f}); look at the mask")
    return sentences
