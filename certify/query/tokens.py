"""From characters to tokens, and back from a token to its place in the file.

Most of a specification is a few shapes repeated a hundred thousand times: a declared variable, a bound on an input, an
operator with two words. The scanner recognises each of them as ONE token, so the readers above spend their time per
statement and not per character.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from certify.errors import ParseError
from certify.query.diagnostics import Diagnostic
from certify.query.syntax import Constant, locate

Token = re.Match[str]

# What `token.lastindex` says about a token: the number of the last group of the shape that matched.
BOUND = 4  # groups: 1 "(assert" if the bound is a whole statement, 2 "<" or ">", 3 variable, 4 number
DECLARATION = 6  # groups: 5 "X" or "Y", 6 index
BINARY = 9  # groups: 7 relation or arithmetic operator, 8 and 9 the words it stands before
OPEN = 10  # group: 10 the word after the parenthesis, or ""
CLOSE = 11
WORD = 12

# No two adjacent repetitions below can match the same characters: a hostile file costs linear, not quadratic, time.
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)
_LONGEST_MESSAGE = 300
_STARTS_A_NUMBER = frozenset("+-.0123456789")
_COMMENT_OR_STRING = re.compile(r';[^\n]*|"(?:[^"\\\n]|\\.)*"')
_ESCAPED = re.compile(r"\\(.)")


def scanner(bound: str, declaration: str) -> re.Pattern[str]:
    """A pattern whose successive matches are the tokens; `bound` and `declaration` hold groups 1-4 and 5-6."""
    binary = r"\(\s*([<>!=]=?|[-+*])\s+([^\s()]+)\s+([^\s()]+)\s*\)"
    return re.compile(rf"{bound}|{declaration}|{binary}|\(\s*([^\s()]*)|(\))|([^\s()]+)", re.ASCII)


class Source:
    """A specification while it is read: its text, the reader's strictness, and what was tolerated so far.

    `code` is the text with every comment blanked out and every string filled with '_', so that neither can look like
    code; an offset means the same place in both. `strings` has the string that begins at an offset.
    """

    def __init__(self, file: str, text: str, strict: bool) -> None:
        self.file, self.text, self.strict = file, text, strict
        self.strings: dict[int, str] = {}
        self.code = _COMMENT_OR_STRING.sub(self._hide, text)
        self.standard = "VNN-LIB"
        self._tolerated: dict[tuple[str, str], tuple[int, int, str]] = {}  # first offset, how often, hint

    def _hide(self, found: re.Match[str]) -> str:
        """What `code` has in the place of a comment or string."""
        if found[0][0] == ";":
            return " " * len(found[0])
        self.strings[found.start()] = _ESCAPED.sub(lambda e: {"n": "\n", "t": "\t"}.get(e[1], e[1]), found[0][1:-1])
        return '"' + "_" * (len(found[0]) - 2) + '"'

    def error(self, code: str, offset: int, message: str, hint: str = "") -> ParseError:
        """A complaint about what stands at a character offset."""
        if len(message) > _LONGEST_MESSAGE:
            message = message[:_LONGEST_MESSAGE] + "..."  # it quotes a word, and words of a damaged file can be long
        return ParseError(self.file, *locate(self.text, offset), message, hint, code)

    def line(self, offset: int) -> int:
        """The line of a character offset."""
        return locate(self.text, offset)[0]

    def tolerate(self, code: str, offset: int, what: str, hint: str = "") -> None:
        """Accept something outside the standard with a warning; in strict mode it is a ParseError."""
        if self.strict:
            raise self.error(code, offset, f"{what}: not in {self.standard}", hint or "only the lenient mode reads it")
        first, count, _ = self._tolerated.get((code, what), (offset, 0, hint))
        self._tolerated[code, what] = (first, count + 1, hint)

    def warnings(self) -> tuple[Diagnostic, ...]:
        """One for each kind of thing tolerated, in the order of first occurrence."""
        found = sorted(self._tolerated.items(), key=lambda item: item[1][:2])
        return tuple(
            Diagnostic(code, "warning", self.file, *locate(self.text, first), what, hint, count)
            for (code, what), (first, count, hint) in found
        )

    def check_characters(self) -> None:
        """Tolerate what an editor or an operating system adds to a file: carriage returns."""
        carriage_return = self.text.find("\r")
        if carriage_return >= 0:
            self.tolerate("V1102", carriage_return, "carriage returns at line ends")

    def number(self, word: str, offset: int) -> Constant | None:
        """The word as a constant, or None for any other word. Misspelt or not finite: ParseError."""
        if not _NUMBER.fullmatch(word):
            if _NOT_FINITE.fullmatch(word):
                raise self.error(
                    "V0107", offset, f"'{word}' is not a number of VNN-LIB", "write a finite decimal number"
                )
            if word[:1] in _STARTS_A_NUMBER:
                raise self.error("V0107", offset, f"'{word}' is not a number", "write it like -1, 0.5 or 1e-06")
            return None
        return self.finite(word, offset)

    def finite(self, lexeme: str, offset: int) -> Constant:
        """A constant from a word that is spelt like a number: the nearest float64."""
        value = float(lexeme)
        if math.isinf(value):
            raise self.error("V0108", offset, f"the number {lexeme} is too large", "float64 ends at about 1.8e308")
        return Constant(value, lexeme, offset)

    def unclosed(self, offset: int) -> ParseError:
        """The complaint about an opening parenthesis without its partner."""
        return self.error("V0103", offset, "this '(' is never closed", "add the missing ')'")

    def unknown(self, variable: str, offset: int) -> ParseError:
        """The complaint about a variable that is not declared."""
        return self.error("V0204", offset, f"unknown variable {variable}", "declare it before its first use")

    def stray(self, token: Token) -> ParseError:
        """The complaint about a token where a statement should begin."""
        what = (
            "this ')' closes nothing"
            if token.lastindex == CLOSE
            else f"'{token[0].split()[0][:40]}' begins no statement"
        )
        return self.error("V0104", token.start(), what, "a file is a series of statements such as (assert ...)")

    def words(self, tokens: Iterator[Token], start: int) -> list[tuple[str, int]]:
        """Every word and parenthesis up to the one that closes the statement opened at `start`, with its offset."""
        found: list[tuple[str, int]] = []
        depth = 1
        for token in tokens:
            kind = token.lastindex
            if kind == CLOSE:
                depth -= 1
                if depth == 0:
                    return found
                found.append((")", token.start()))
            elif kind == OPEN:
                depth += 1
                found.append(("(", token.start()))
                if token[OPEN]:
                    found.append((token[OPEN], token.start(OPEN)))
            else:
                found.append((token[0], token.start()))
        raise self.unclosed(start)
