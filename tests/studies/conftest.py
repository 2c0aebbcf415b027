"""Studies of this folder's tests are keyed quickly."""

from tiny_studies import quick_keys

__all__ = ["quick_keys"]
