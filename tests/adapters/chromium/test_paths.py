"""How a keeper's things are removed: with all that belongs to them, and nothing else."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from lifecycle_chromium import paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["org.chromium.Chromium.aB3dE9", ".com.google.Chrome.aB3dE9"])
def test_the_socket_of_a_killed_browser_goes_with_its_profile(tmp_path: Path, name: str) -> None:
    folder, profile = tmp_path / name, paths.profile(tmp_path, "s-1")
    folder.mkdir()
    profile.mkdir(parents=True)
    (folder / "SingletonCookie").symlink_to("1234")
    with socket.socket(socket.AF_UNIX) as there:
        here = os.getcwd()
        os.chdir(folder)  # a socket's path may be too long otherwise
        there.bind("SingletonSocket")
        os.chdir(here)
    (profile / "SingletonSocket").symlink_to(folder / "SingletonSocket")
    assert paths.remove_profile(tmp_path, "s-1")
    assert not folder.exists()


@pytest.mark.parametrize(("name", "inside"), [("documents", ()), ("org.chromium.Chromium.aB3dE9", ("mine",))])
def test_a_link_to_something_else_takes_nothing_of_it_along(tmp_path: Path, name: str, inside: tuple[str, ...]) -> None:
    folder, profile = tmp_path / name, paths.profile(tmp_path, "s-1")
    folder.mkdir()
    profile.mkdir(parents=True)
    for file in inside or ("SingletonSocket",):
        (folder / file).touch()
    (profile / "SingletonSocket").symlink_to(folder / "SingletonSocket")
    assert paths.remove_profile(tmp_path, "s-1")
    assert sorted(file.name for file in folder.iterdir()) == list(inside or ("SingletonSocket",))
