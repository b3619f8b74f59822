"""What a check can come to, apart from acceptance."""


class Refusal(Exception):
    """The certificate is not accepted; `code` is the exit code, `word` the first line of the answer."""

    code = 1
    word = "refused"


class Rejected(Refusal):
    """The certificate does not prove what it claims."""

    code, word = 1, "rejected"


class Malformed(Refusal):
    """A file that cannot be read, or does not follow its format."""

    code, word = 2, "malformed"


class Bounded(Refusal):
    """The certificate proves bounds of a probability, as it claims: never to be taken for `unsat`, so no acceptance."""

    code, word = 4, "bounded"


class Unsupported(Refusal):
    """A model or a specification that this checker does not know how to read, which says nothing about the claim."""

    code, word = 3, "unsupported"
