"""Command line of the recipe: ``python -m zoo.recipe <part>``; parts resume where they stopped.

Knows the table of parts, nothing of what they do.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Final

from zoo.recipe.workshop import log, set_threads

PARTS: Final = {
    "pool": "zoo.recipe.pool:prepare",
    "vae": "zoo.recipe.vae:run",
    "encoder": "zoo.recipe.encoder:run",
    "judges": "zoo.recipe.judges:run",
    "aesthetic": "zoo.recipe.aesthetic:run",
    "denoiser": "zoo.recipe.denoiser:run",
    "safety": "zoo.recipe.safety:run",
    "language": "zoo.recipe.language:run",
    "image_tokens": "zoo.recipe.image_tokens:run",
    "janus": "zoo.recipe.janus:run",
    "adapter": "zoo.recipe.adapter:run",
    "figures": "zoo.recipe.figures:run",
}
"""Part to ``module:function``, in the order in which ``all`` runs them."""
ALONE: Final = {"token_figures": "zoo.recipe.figures:run_tokens"}
"""Parts that ``all`` need not run."""


def main() -> None:
    """Run one part, or all of them in order."""
    parser = argparse.ArgumentParser(prog="python -m zoo.recipe", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, *ALONE, "all"])
    wanted = parser.parse_args().part
    set_threads()
    for part in PARTS if wanted == "all" else (wanted,):
        log(f"recipe: {part}")
        module, function = (PARTS | ALONE)[part].split(":")
        getattr(importlib.import_module(module), function)()


if __name__ == "__main__":
    main()
