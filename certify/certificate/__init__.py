"""Certificates: what a search found, written down so that `certify.checker` can recheck it."""
