"""What reading a specification may complain about: every complaint has a place and a code that stays the same.

V0...: an error, always. V1...: outside the standard, but what is meant is beyond doubt; a warning, and an error in
strict mode. docs/specifications.md lists the codes for users; tests hold both lists, and an example of each, together.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from certify.errors import ParseError

CODES: dict[str, str] = {
    # Text
    "V0101": "a byte that is not UTF-8",
    "V0102": "nothing in the file",
    "V0103": "a '(' that is never closed",
    "V0104": "a word or ')' where a statement should begin",
    "V0105": "a statement that this version of VNN-LIB does not have",
    "V0106": "parentheses nested too deeply",
    "V0107": "a number that is spelt wrong, or is NaN or infinite",
    "V0108": "a number too large for float64, or not 0 and too small",
    # Assertions
    "V0201": "no operator where one belongs, or an unknown one",
    "V0202": "too few or too many operands",
    "V0203": "a term where a condition belongs, or the other way round",
    "V0204": "a variable that is not declared",
    "V0205": "an index that the tensor does not have",
    # Declarations
    "V0301": "a declaration with a part missing, misplaced or too many",
    "V0302": "a name that is not allowed",
    "V0303": "a name declared twice",
    "V0304": "a gap in the numbering of variables (1.0)",
    "V0305": "no network, input or output declared",
    "V0306": "a shape with a dimension 0, or with too many elements",
    "V0307": "a version of VNN-LIB that is not known",
    "V0308": "equal-to or isomorphic-to of a network that cannot be meant",
    # Types, and the model that is declared
    "V0401": "an unknown element type or sort",
    "V0402": "an element type whose values are no real numbers",
    "V0403": "networks declared alike with different tensors",
    "V0404": "inputs, outputs or hidden values in other numbers than the model has",
    "V0405": "an integer type for floating-point values of the model",
    "V0406": "an initialized input to which the model gives no value",
    # Regions
    "V0501": "bounds that contradict each other",
    "V0502": "an input without a lower or an upper bound",
    "V0503": "a bound or coefficient that arithmetic made too large for float64",
    "V0504": "a product of too high a degree or with too many terms",
    # Outside the standard: text
    "V1101": "a byte order mark",
    "V1102": "carriage returns at line ends",
    "V1103": "a blank between '(' and its keyword",
    "V1104": "a number in a spelling that the standard does not have",
    # Outside the standard: statements and declarations
    "V1201": "no (vnnlib-version <2.0>) at the beginning",
    "V1202": "the version written in another way",
    "V1203": "a declaration after an assertion",
    "V1204": "inputs, hidden values and outputs in another order",
    "V1205": "declare-fun for declare-const",
    "V1206": "a statement of SMT-LIB, ignored",
    "V1207": "a type or sort in other upper and lower case",
    "V1208": "a shape [0], and elements declared one by one",
    # Outside the standard: assertions
    "V1301": "'=' for '=='",
    "V1302": "both sides of a comparison in one extra pair of parentheses",
    "V1303": "an operator between its operands instead of before them",
    "V1304": "a connective, sum or product of a single operand",
    "V1305": "'not' and '=>'",
    "V1306": "'and' directly inside 'assert' (1.0)",
    "V1307": "'and' and 'or' nested in another way than (or (and ...) ...) (1.0)",
    "V1308": "a relation other than <= and >= (1.0)",
    "V1309": "arithmetic (1.0)",
    "V1310": "a comparison of other things than an input with a number or an output with either (1.0)",
    "V1311": "a flat index where the tensor has another number of axes",
    # Outside the standard: types
    "V1401": "'real' beside other element types",
    "V1402": "a comparison without a variable",
    "V1403": "a comparison of different element types",
    "V1404": "an integer literal for a floating-point type",
    "V1405": "a fraction or a negative number for a type without",
    "V1406": "a shape or an element type other than the model's, with as many elements",
}


@dataclass(frozen=True)
class Diagnostic:
    """One complaint, at its first place. Lines and columns count from 1; count: how often it would have been made."""

    code: str
    severity: str
    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    count: int = 1

    def __str__(self) -> str:
        more = f" (and {self.count - 1} more)" if self.count > 1 else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}{more}{hint}"

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        return asdict(self)


def error_diagnostic(error: ParseError) -> Diagnostic:
    """A ParseError as a diagnostic."""
    return Diagnostic(error.code, "error", error.file, error.line, error.column, error.complaint, error.hint)
