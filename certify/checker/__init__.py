"""A checker of certificates that shares nothing with what writes them: `python -m certify.checker MODEL SPEC CERT`."""
