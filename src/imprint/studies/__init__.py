"""studies (table of contents to be written)."""
