"""Fixtures of the tests of the surfaces."""

from tests.inprocess import _made_once, clock, inprocess

__all__ = ["_made_once", "clock", "inprocess"]
