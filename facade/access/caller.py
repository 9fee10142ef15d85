"""Who asks, as the service sees it: without HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from facade.access.allowance import Allowance


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        job: the id under which the request can be cancelled; None where nobody needs to know it.
        owner: who alone may cancel it: name of the key it came with, empty without keys.
        headers: sent on to Triton as they are.
        allowance: what the caller may do; None for what everybody may.
    """

    job: str | None = None
    owner: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    allowance: Allowance | None = None


ANYONE = Caller()
