"""A model repository of links in which networks are served as chosen variants."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from concord.variants import Variant


def arrange(directory: Path, chosen: Mapping[str, Variant], repositories: Iterable[Path] = ()) -> Path:
    """Links the chosen variants into an empty directory, and everything else of the repositories as it is.

    Returns:
        The directory: a repository to be served without a profile.
    """
    for model, variant in chosen.items():
        (directory / model).mkdir()
        (directory / model / "config.pbtxt").symlink_to(variant.config.resolve())
        (directory / model / variant.version.name).symlink_to(variant.version.resolve())
    for folder in (folder for repository in repositories for folder in repository.iterdir() if folder.is_dir()):
        if folder.name not in chosen:
            (directory / folder.name).symlink_to(folder.resolve())
    return directory
