"""What the README tells a reader to type at the facade works."""

import re
from pathlib import Path

import pytest

from tests.facade.running import Facade
from tests.test_readme import README, run_snippet

SNIPPETS = re.findall(r"<!-- test: facade (\w+) -->\n```\w+\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(("kind", "snippet"), SNIPPETS, ids=[text.split("\n")[0][:40] for _, text in SNIPPETS])
def test_a_snippet_of_the_readme_runs_as_printed(kind: str, snippet: str, facade: Facade, tmp_path: Path) -> None:
    run_snippet(kind, snippet, {"localhost:8080": f"{facade.host}:{facade.port}"}, tmp_path)


def test_the_readme_shows_curl_and_the_openai_package() -> None:
    assert any(kind == "shell" and "curl " in snippet for kind, snippet in SNIPPETS)
    assert any(kind == "python" and "from openai import" in snippet for kind, snippet in SNIPPETS)
