"""cli (table of contents to be written)."""
