"""The page for annotators, as a browser without scripts sees it, and what it answers to what no browser sends."""

from pathlib import Path

import httpx
import pytest

from annotation.ledger.turns import Places
from annotation.page.words import CHINESE, ENGLISH
from annotation.record import Annotation, Skipped, Source
from facade.access.keys import hash_of
from facade.page.languages import ENGLISH as ENGLISH_SHARED
from facade.store.address import file_url
from tests.annotation.scenes import write_scenes
from tests.annotation.site import HERE, Site, action, options, visited
from tests.facade.test_page_languages import holes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, 2, 2)
    return folder


@pytest.fixture
def folder(scenes: Path, tmp_path: Path) -> Path:
    """The same pictures, and no answers."""
    for subset in scenes.iterdir():
        if subset.is_dir():
            (tmp_path / subset.name).symlink_to(subset)
    return tmp_path


def test_every_sentence_is_there_in_both_languages_with_the_same_holes() -> None:
    assert ENGLISH.keys() == CHINESE.keys()
    for key, sentence in ENGLISH.items():
        assert sentence and CHINESE[key] and holes(CHINESE[key]) == holes(sentence), key


def test_a_name_and_the_guide_come_before_the_samples(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada:
            assert (await ada.http.get("/sample")).headers["location"] == "/enter"
            answer = await ada.sends("/enter", name="  Ada  Lovelace ")
            assert answer.status_code == 303 and "HttpOnly; " in answer.headers["set-cookie"]
            assert "SameSite=strict" in answer.headers["set-cookie"]
            assert (await ada.http.get("/sample")).headers["location"] == "/guide"
            assert (await ada.sends("/samples/HCOCO/c0_1_1.jpg", action="skip")).status_code == 403
            await ada.sends("/guide")
            page = await ada.sees("/sample")
            assert "ada lovelace" in page and action(page) == "/samples/HCOCO/c0_1_1.jpg"
            await ada.sends("/leave")
            assert (await ada.http.get("/sample")).headers["location"] == "/enter"

    visited(folder, visit)


def test_what_is_chosen_and_written_is_kept_and_the_next_sample_comes(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            page = await ada.sees("/sample")
            (words, number), *_ = options(page).items()
            fields = {"chosen": [number], "offered": list(options(page).values()), "own": "my star"}
            answer = await ada.sends(action(page), action="keep", **fields)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sample")
            page = await ada.sees("/sample")
            assert action(page) == "/samples/HCOCO/c0_1_2.jpg" and "1 of 4 done, 1 by you" in page
            # The other composite of the same object: both expressions are suggested, the merged one once.
            assert words in options(page) and "my star" in options(page)
            await ada.sends(action(page), action="skip")
            assert await site.records() == [
                Annotation("HCOCO/c0_1_1.jpg", words, None, Source.RULES, "ada"),
                Annotation("HCOCO/c0_1_1.jpg", "my star", None, Source.OWN, "ada"),
                Skipped("HCOCO/c0_1_2.jpg", "ada"),
            ]

    visited(folder, visit)


def test_an_answer_can_be_looked_at_again_and_changed(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            first = action(await ada.sees("/sample"))
            await ada.sends(first, own="the cat", action="keep")
            second = action(await ada.sees("/sample"))
            assert f'id="back" href="{first}"' in await ada.sees("/sample")
            await ada.sends(second, own="a dog", action="keep")
            page = await ada.sees(first)
            assert ENGLISH["sample.answered"] in page and "checked" in page and 'id="back"' not in page
            answer = await ada.sends(first, own="the star", action="keep")
            assert answer.headers["location"] == second
            texts = [each.expression for each in await site.records() if isinstance(each, Annotation)]
            assert texts == ["the star", "a dog"]

    visited(folder, visit)


def test_a_draft_is_there_again_until_it_is_sent(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            page = await ada.sees("/sample")
            place = action(page)
            number = list(options(page).values())[1]
            draft = place.replace("/samples/", "/drafts/")
            assert (await ada.sends(draft, "PUT", chosen=[number], own="the \u202eca")).status_code == 204
        async with site.person() as ada:
            await ada.enters()
            page = await ada.sees("/sample")
            assert f'value="{number}" checked' in page and 'value="the ca"' in page
            await ada.sends(place, chosen=[number], own="", action="keep")
            assert 'value="the ca"' not in await ada.sees(place)

    visited(folder, visit)


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"action": "keep"}, 400, "missing_field"),
        ({"action": "keep", "own": " ... "}, 400, "invalid_text"),
        ({"action": "keep", "own": "x" * 201}, 400, "invalid_text"),
        ({"action": "keep", "own": "the\x00cat"}, 400, "invalid_text"),
        ({"action": "keep", "chosen": "999999"}, 400, "invalid_setting"),
        ({"action": "keep", "chosen": "9" * 40}, 400, "invalid_setting"),
        ({"action": "keep", "chosen": "one"}, 400, "invalid_setting"),
        ({"action": "keep", "own": "x" * 70_000}, 413, "request_too_large"),
        ({str(number): "" for number in range(600)}, 400, "malformed_body"),
    ],
)
def test_a_wrong_answer_is_refused_in_words_and_nothing_is_kept(
    fields: dict[str, str], status: int, code: str, folder: Path
) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            answer = await ada.sends("/samples/HCOCO/c0_1_1.jpg", **fields)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (status, code)
            assert await site.records() == []

    visited(folder, visit)


@pytest.mark.parametrize(
    ("path", "kind", "status"),
    [("/samples/HCOCO/no.jpg", "text/plain", 404), ("/samples/HCOCO/c0_1_1.jpg", "text/plain", 415)],
)
def test_what_is_not_there_and_what_is_no_form_is_refused(path: str, kind: str, status: int, folder: Path) -> None:
    async def visit(site: Site) -> httpx.Response:
        async with site.person() as ada:
            await ada.enters()
            return await ada.http.post(path, content=b"own=x", headers={"Content-Type": kind})

    assert visited(folder, visit).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "elsewhere.example"}, 421),
        ({"Origin": HERE}, 303),
    ],
)
def test_only_the_pages_own_forms_are_taken(headers: dict[str, str], status: int, folder: Path) -> None:
    async def visit(site: Site) -> httpx.Response:
        async with site.person(**headers) as somebody:
            return await somebody.sends("/enter", name="ada")

    assert visited(folder, visit).status_code == status


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "<b>", "x" * 65, "a/b", "\u202eada"])
def test_a_name_that_cannot_be_used_is_refused_with_what_is_allowed(name: str, folder: Path) -> None:
    async def visit(site: Site) -> httpx.Response:
        async with site.person() as somebody:
            return await somebody.sends("/enter", name=name)

    answer = visited(folder, visit)
    assert answer.status_code == 400 and "letters" in answer.json()["allowed"]


def test_where_there_are_keys_their_holders_annotate_and_a_key_that_is_removed_ends_a_visit(folder: Path) -> None:
    keys = folder / "keys"
    keys.write_text(f"ada {hash_of('secret')}\ngrace {hash_of('other')}\n")

    async def visit(site: Site) -> None:
        async with site.person() as ada, site.person() as nobody:
            assert (await nobody.sends("/enter", name="ada", key="wrong")).status_code == 401
            await ada.enters(name="grace", key="secret")
            page = await ada.sees("/sample")
            assert "(ada)" in page
            keys.write_text(f"grace {hash_of('other')}\n")
            assert (await ada.http.get("/sample")).headers["location"] == "/enter"
            assert (await ada.sends(action(page), action="skip")).status_code == 401

    visited(folder, visit, api_keys_file=keys)


def test_with_accounts_those_with_the_role_annotate_and_nobody_else(folder: Path) -> None:
    password = "correct horse battery"

    async def visit(site: Site) -> None:
        accounts = site.workplace.accounts
        assert accounts is not None
        await accounts.people.add("ada", password, "annotator")
        await accounts.people.add("charles", password)
        async with site.person() as ada, site.person() as charles:
            wrong = await ada.sends("/enter", name="ada", password="something else")
            assert wrong.status_code == 401 and ENGLISH_SHARED["sign_in.wrong"] in wrong.text
            refused = await charles.sends("/enter", name="charles", password=password)
            assert (refused.status_code, refused.json()["detail"]) == (403, "this account may not annotate")
            await ada.sends("/enter", name="ada", password=password)
            await ada.sends("/guide")
            place = action(await ada.sees("/sample"))
            await ada.sends(place, action="skip")
            assert await site.records() == [Skipped("HCOCO/c0_1_1.jpg", "ada")]
            await accounts.people.change("ada", role="user")
            assert (await ada.http.get("/sample")).headers["location"] == "/enter"
            await accounts.people.change("ada", role="administrator")
            await ada.sees("/sample")
            await ada.sends("/leave")
            assert (await ada.http.get("/sample")).headers["location"] == "/enter"

    visited(folder, visit, accounts="closed", store=file_url(folder / "store.db"))


def test_a_sample_that_somebody_else_has_answered_is_told_so(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada, site.person() as grace:
            await ada.enters("ada")
            await grace.enters("grace")
            place = action(await ada.sees("/sample"))
            assert action(await grace.sees("/sample")) != place
            for path in (place, place.replace("samples", "drafts")):
                method = "PUT" if "drafts" in path else "POST"
                answer = await grace.sends(path, method, own="the cat", action="keep")
                assert (answer.status_code, answer.json()["type"]) == (409, "urn:concord:problem:sample_taken")

    visited(folder, visit)


def test_two_annotators_answer_each_sample_and_their_agreement_is_shown(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada, site.person() as grace:
            for person, name in ((ada, "ada"), (grace, "grace")):
                await person.enters(name)
                page = await person.sees("/sample")
                assert action(page) == "/samples/HCOCO/c0_1_1.jpg"
                numbers = list(options(page).values())
                await person.sends(action(page), action="keep", chosen=numbers[:1], offered=numbers)
            page = await grace.sees("/progress")
            assert "1 / 4" in page and "100 %" in page and "1.00" in page
            assert len(await site.records()) == 2

    visited(folder, visit, Places(2))


def test_a_composite_that_cannot_be_read_is_set_aside_and_said(tmp_path: Path) -> None:
    write_scenes(tmp_path, 2)
    (tmp_path / "HCOCO" / "composite_images" / "c0_1_1.jpg").write_bytes(b"no picture")

    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            assert action(await ada.sees("/sample")) == "/samples/Hday2night/c1_1_1.jpg"
            page = await ada.sees("/progress")
            assert "HCOCO/c0_1_1.jpg: [invalid_image]" in page and "0 / 1" in page and str(tmp_path) not in page
            assert (await ada.http.get("/pictures/HCOCO/c0_1_1.jpg")).status_code == 400

    visited(tmp_path, visit)


def test_the_last_sample_is_followed_by_a_page_that_says_so(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person() as ada:
            await ada.enters()
            for _ in range(4):
                await ada.sends(action(await ada.sees("/sample")), action="skip")
            assert ENGLISH["done.title"] in await ada.sees("/sample")

    visited(folder, visit)


def test_pages_are_in_the_browsers_language_and_run_nothing_from_elsewhere(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person(**{"Accept-Language": "zh-CN"}) as ada:
            await ada.enters()
            page = await ada.sees("/sample")
            assert '<html lang="zh-CN">' in page and CHINESE["sample.title"] in page
            answer = await ada.http.get("/sample")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "unsafe" not in answer.headers["content-security-policy"] and "style=" not in answer.text
            for path in ("/style.css", "/script.js"):
                assert (await ada.http.get(path)).status_code == 200
            answer = await ada.http.get("/pictures/HCOCO/c0_1_1.jpg")
            assert answer.headers["content-type"] == "image/jpeg" and answer.content[:2] == b"\xff\xd8"

    visited(folder, visit)


def test_a_store_that_is_away_is_a_problem_and_no_traceback(folder: Path) -> None:
    async def visit(site: Site) -> None:
        async with site.person(Accept="text/html") as ada:
            await ada.enters()
            await site.workplace.store.close()
            (folder / "annotations.db").rename(folder / "gone.db")
            (folder / "annotations.db").mkdir()
            answer = await ada.http.get("/sample")
            assert answer.status_code == 503 and "Traceback" not in answer.text and str(folder) not in answer.text

    visited(folder, visit)
