"""What axe-core finds on the page."""

from axe_playwright_python.sync_playwright import Axe

from tests.facade.browsing import Tab

# A colour on its way from one to another has any contrast; pulses that never end are not waited for.
_STILL = """
() => Promise.allSettled(
    document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime < Infinity)
        .map((each) => each.finished)
)
"""


def serious(person: Tab) -> list[str]:
    """What is serious or critical, once what moves has ended: the rule, and the first element."""
    person.page.evaluate(_STILL)
    found = Axe().run(person.page).response["violations"]
    worst = [each for each in found if each["impact"] in ("serious", "critical")]
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in worst]
