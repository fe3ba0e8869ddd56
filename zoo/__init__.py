"""The shipped tiny stack: weights in stock formats, and the recipe that trained them (``python -m zoo.recipe``)."""
