"""A model repository of links that serves chosen variants of networks."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from concord.variants import Variant


def arrange(directory: Path, chosen: Mapping[str, Variant], repositories: Iterable[Path] = ()) -> Path:
    """Links the chosen variants and everything else of the repositories into an empty directory.

    Returns:
        The directory: a repository that is served without a profile.
    """
    for model, variant in chosen.items():
        (directory / model).mkdir()
        (directory / model / "config.pbtxt").symlink_to(variant.config.resolve())
        (directory / model / variant.version.name).symlink_to(variant.version.resolve())
    for folder in (folder for repository in repositories for folder in repository.iterdir() if folder.is_dir()):
        if folder.name not in chosen:
            (directory / folder.name).symlink_to(folder.resolve())
    return directory
