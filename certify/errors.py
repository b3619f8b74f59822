"""Errors a user can meet. Each names the file, line or node, says what is wrong, and hints at what to do.

The command line turns an `InputError` into one line on stderr and exit code 2; anything else is a bug of ours (exit 4).
"""

from __future__ import annotations


class CertifyError(Exception):
    """Base of every error raised on purpose. `message` says what is wrong, `hint` what to do about it."""

    exit_code = 4

    def __init__(self, message: str, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} ({hint})" if hint else message)


class InputError(CertifyError):
    """What the user gave cannot be used: a file, an option, a combination of both."""

    exit_code = 2


class ParseError(InputError):
    """A text that cannot be read, a specification above all. Lines and columns count from 1.

    complaint: the message without its place; code: one of `query.diagnostics.CODES`, "" for other texts.
    """

    def __init__(self, file: str, line: int, column: int, complaint: str, hint: str = "", code: str = "") -> None:
        self.file, self.line, self.column, self.complaint, self.code = file, line, column, complaint, code
        super().__init__(f"{file}:{line}:{column}: {code}{' ' if code else ''}{complaint}", hint)


class UnsupportedOp(InputError):
    """An ONNX operator, or a use of one, that certify cannot bound. complaint: the message without its place."""

    def __init__(self, op: str, node: str, complaint: str, hint: str = "", file: str = "") -> None:
        self.op, self.node, self.complaint = op, node, complaint
        super().__init__(f"{file}{': ' if file else ''}operator {op} at node '{node}': {complaint}", hint)


class ModelError(InputError):
    """A model file that is missing, damaged or malformed."""


class ShapeMismatch(ParseError):
    """A declaration of the specification that does not fit the model."""


class BackendError(InputError):
    """A backend that is not installed or cannot take this problem."""


class NumericalError(CertifyError):
    """A bound became NaN, or a lower bound exceeded its upper bound: nothing may be concluded from it."""

    exit_code = 3


class ParityError(InputError):
    """Our graph and onnxruntime disagree on the same input: the model would be verified as something else."""


class CertificateError(CertifyError):
    """There is a verdict, but no certificate of it can be written, or it was not accepted."""

    exit_code = 3
