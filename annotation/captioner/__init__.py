"""Captioners: programs elsewhere that are shown a part of a picture and name it."""
