"""How the tiny stack is trained, one part per file; ``python -m zoo.recipe <part>`` runs one."""
