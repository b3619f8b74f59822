"""Puts this folder on the path, so that every room can use the builders beside this file."""
