"""What comes in: outside formats, raw files of any quality, checks, quarantine, the gate. Knows nothing that learns."""
