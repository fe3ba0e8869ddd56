"""Ground floor: names, schemas, partitions and paths that every other wing agrees on. Standard library and pyarrow only."""
