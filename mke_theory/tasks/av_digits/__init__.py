"""Spoken and written digits."""
