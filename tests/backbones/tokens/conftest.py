"""Tiny checkpoints of every token family, written once per session."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.backbones.tokens.tiny import TINY_TOKENS


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def token_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Family to the folder of its tiny checkpoint. Tests must not write there."""
    written: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in written:
            written[family] = tmp_path_factory.mktemp(family)
            TINY_TOKENS[family](written[family])
        return written[family]

    return folder
