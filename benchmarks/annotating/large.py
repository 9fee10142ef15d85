"""A large data set in iHarmony4's layout, of few pictures under many names, much of which has been answered."""

from pathlib import Path

from PIL import Image
from sqlalchemy import insert, update

from annotation.iharmony4 import SUBSETS, read_dataset
from annotation.ledger import expressions, samples
from annotation.ledger.tables import Annotator, Chosen, SampleRow, Turn
from annotation.record import Source
from annotation.serve import MIGRATIONS
from concord.scenes.scene import make_scene
from facade.store.store import Store

SIZE = (480, 640)
SCENES = 4
COMPOSITES = 5
"""Of an object, as HAdobe5k has."""
EARLIER = "an earlier annotator"


def write_dataset(folder: Path, number: int) -> None:
    """So many composites, each with a mask and a photograph; files are links to those of some scenes."""
    pictures, subset = folder / "pictures", folder / SUBSETS[1]
    pictures.mkdir(parents=True)
    for part in ("composite_images", "masks", "real_images"):
        (subset / part).mkdir(parents=True)
    for seed in range(SCENES):
        scene = make_scene(seed, SIZE)
        for part, picture in (("composite", scene.composite), ("real", scene.truth), ("mask", scene.mask)):
            ending = "png" if part == "mask" else "jpg"
            Image.fromarray(picture).save(pictures / f"{part}{seed}.{ending}", quality=90)
    for each in range(number):
        photograph, composite = divmod(each, COMPOSITES)
        seed = photograph % SCENES
        name = f"a{photograph:05}"
        (subset / "composite_images" / f"{name}_1_{composite + 1}.jpg").symlink_to(pictures / f"composite{seed}.jpg")
        if not composite:
            (subset / "masks" / f"{name}_1.png").symlink_to(pictures / f"mask{seed}.png")
            (subset / "real_images" / f"{name}.jpg").symlink_to(pictures / f"real{seed}.jpg")


async def answer(folder: Path, url: str, answered: int) -> None:
    """Has the first of its samples answered, with an expression each."""
    async with Store(url, MIGRATIONS) as store, store.begin() as session:
        await samples.register(session, read_dataset(folder).samples, ())
        session.add(Annotator(name=EARLIER))
        turn = {"slot": 0, "annotator": EARLIER, "until": 0, "skipped": False, "offered": ""}
        turns, chosen = [], []
        for row in await samples.unprepared(session, 1, answered, answered):
            [expression] = await expressions.add(session, row.id, Source.OWN, [f"the object {row.id}"])
            await session.flush()
            turns.append({"sample_id": row.id, "answered": row.id, **turn})
            chosen.append({"sample_id": row.id, "annotator": EARLIER, "expression_id": expression.id})
        await session.execute(insert(Turn), turns)
        await session.execute(insert(Chosen), chosen)
        done = update(SampleRow).where(SampleRow.position < answered)
        await session.execute(done.values({"answered": 1, "prepared": True}))
