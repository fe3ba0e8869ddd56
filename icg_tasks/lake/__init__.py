"""The object store, whole-partition writes and the model registry. Knows keys and bytes; nothing of what they mean."""
