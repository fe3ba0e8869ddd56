"""`python -m infra.images [--release] [--tag TAG]`: the build command of every image; --release refuses what is not pinned.

Pinning, once per base image and again for its security fixes: ask the registry for the digest (`docker buildx imagetools
inspect python:3.11-slim-bookworm`), write it into infra/images/pins.json, commit. Builds nothing itself.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
BASE = "python:3.11-slim-bookworm"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image: its target in the Dockerfile and the extras of pyproject.toml it holds."""

    name: str
    target: str
    extras: str


IMAGES = (
    Image(name="validation", target="stage", extras="validation"),
    Image(name="training", target="stage", extras="training"),
    Image(name="reading", target="stage", extras="reading"),
    Image(name="spark", target="spark", extras="spark"),
    Image(name="orchestration", target="orchestration", extras="orchestration,spark"),
    # One machine (infra/compose): Airflow runs every stage as a process of its own.
    Image(name="machine", target="orchestration", extras="orchestration,validation,training,spark"),
)


def pinned_base(pins: dict[str, str | None], *, release: bool) -> str:
    """The base image's address, by digest where one is known.

    Raises:
        ValueError: a release is asked for and the digest is not known, or is no digest.
    """
    digest = pins.get(BASE)
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise ValueError(f"infra/images/pins.json: {digest!r} is no digest of {BASE}; expected sha256: and 64 hex digits")
    if digest is None and release:
        raise ValueError(
            f"a release build needs {BASE} by digest, and infra/images/pins.json has none; "
            f"write what `docker buildx imagetools inspect {BASE}` calls Digest there"
        )
    return f"{BASE}@{digest}" if digest else BASE


def build_command(image: Image, tag: str, base: str) -> list[str]:
    """The words that build one image, in the repository's root."""
    words = ["docker", "build", "-f", "infra/images/Dockerfile", "--target", image.target]
    words += ["--build-arg", f"PYTHON_IMAGE={base}", "--build-arg", f"EXTRAS={image.extras}"]
    return [*words, "--provenance=true", "-t", f"icg-covers-{image.name}:{tag}", "."]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the commands, a line each; 1 where a release cannot be built."""
    parser = argparse.ArgumentParser(prog="python -m infra.images")
    parser.add_argument("--release", action="store_true")
    parser.add_argument("--tag", default="0.1.0")
    given = parser.parse_args(argv)
    try:
        base = pinned_base(json.loads((FOLDER / "pins.json").read_text(encoding="utf-8")), release=given.release)
    except ValueError as error:
        sys.stderr.write(f"infra.images: {error}\n")
        return 1
    for image in IMAGES:
        sys.stdout.write(shlex.join(build_command(image, given.tag, base)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
