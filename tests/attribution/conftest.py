"""Puts `attribution_models` on the path of the tests in every room below."""
