"""The reader for asyncio: answers come from memory at once; only the first load, refreshes and image bytes leave the loop.

    async with AsyncCoverReader(CoverReader(store)) as reader:
        cover = await reader.cover("reader-17", "item-4")

Knows nothing that read.py does not.
"""

import asyncio
from types import TracebackType
from typing import Any

from icg_tasks.covers.read import Cover, CoverReader


class AsyncCoverReader:
    """A CoverReader that never blocks the event loop. Give the reader ``background=True``, or call ``refresh`` yourself."""

    def __init__(self, reader: CoverReader) -> None:
        self._reader = reader
        self._loaded = False

    async def __aenter__(self) -> "AsyncCoverReader":
        await self._load()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._reader.close)

    async def cover(self, user_id: str, item_id: str, *, hashed: bool = False, variant: int = 0) -> Cover | None:
        """See CoverReader.cover."""
        await self._load()
        return self._reader.cover(user_id, item_id, hashed=hashed, variant=variant)

    async def answer(self, user_id: str, item_id: str, *, hashed: bool = False, variant: int = 0) -> dict[str, Any]:
        """See CoverReader.answer."""
        await self._load()
        return self._reader.answer(user_id, item_id, hashed=hashed, variant=variant)

    async def image(self, cover: Cover) -> bytes:
        """See CoverReader.image."""
        return await asyncio.to_thread(self._reader.image, cover)

    def url(self, cover: Cover) -> str:
        """See CoverReader.url: computed, never asked for over the network."""
        return self._reader.url(cover)

    async def refresh(self) -> bool:
        """See CoverReader.refresh."""
        return await asyncio.to_thread(self._reader.refresh)

    async def _load(self) -> None:
        """The first look-up is loaded beside the loop; later ones by the reader's own thread."""
        if not self._loaded:
            self._loaded = await asyncio.to_thread(lambda: self._reader.day) is not None
