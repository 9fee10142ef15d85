"""What cleaning did, in numbers and in words."""

from typing import Any

from annotation.dataset.cleaning import Cleaned, Rules
from annotation.record import Annotation
from concord.instruments.markdown import table

_SHOWN = 50  # of the lowest; all of them are in a file


def numbers(cleaned: Cleaned, rules: Rules) -> dict[str, Any]:
    """As JSON has it."""
    composites = len({each.composite for each in cleaned.kept})
    return {
        "rules": dict(vars(rules)),
        "records": len(cleaned.kept) + len(cleaned.removed),
        "expressions": len(cleaned.kept),
        "composites": cleaned.composites,
        "composites_kept": composites,
        "composites_left_out": cleaned.composites - composites,
        "repaired": cleaned.repaired,
        "removed": cleaned.reasons,
        "second_look": len(cleaned.low),
        "without_iou": len(cleaned.unknown),
    }


def report(cleaned: Cleaned, rules: Rules) -> str:
    """As Markdown."""
    told = numbers(cleaned, rules)
    share = told["composites_left_out"] / max(told["composites"], 1)
    words = (
        f"{told['expressions']} of {told['records']} records are kept, {told['repaired']} of them with repaired "
        f"characters. {told['composites_left_out']} of {told['composites']} composites ({100 * share:.1f} %) have no "
        "expression left."
    )
    removed = table(["removed", "records"], [[*each] for each in cleaned.reasons.items()])
    pieces = ["# Cleaning", words, f"Least IoU {rules.least:g}, at most {rules.most} expressions a composite.", removed]
    if cleaned.low:
        shown = cleaned.low[:_SHOWN]
        title = f"## For a second look: IoU below {rules.low:g} ({len(shown)} of {len(cleaned.low)})"
        pieces += [title, table(["IoU", "composite", "expression"], map(_row, shown))]
    if cleaned.unknown:
        names = "\n".join(f"- {each.composite}: {each.expression}" for each in cleaned.unknown[:_SHOWN])
        pieces += [f"## Without an IoU ({min(len(cleaned.unknown), _SHOWN)} of {len(cleaned.unknown)})", names]
    return "\n\n".join(pieces) + "\n"


def _row(annotation: Annotation) -> list[object]:
    # A bar would end the cell.
    return [f"{annotation.iou:.2f}", annotation.composite, annotation.expression.replace("|", "\\|")]
