"""Small changes of the text of a hardware module: flip an operator, drop a term, drop a statement."""

import ast
import dataclasses
from collections.abc import Iterator

__all__ = ["Change", "changes"]

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
}
OPERATORS: dict[type[ast.operator], str] = {ast.BitAnd: "|", ast.BitOr: "&", ast.Add: "-", ast.Sub: "+"}
CONDITIONS = ("If", "Elif")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One change of a text.

    Attributes
    ----------
    line : int
    start, end : int
        Place in the text, in characters.
    old, new : str
    kind : str
        What it does, in few words.
    """

    line: int
    start: int
    end: int
    old: str
    new: str
    kind: str

    def apply(self, text: str) -> str:
        """The changed text."""
        return text[: self.start] + self.new + text[self.end :]

    @property
    def shown(self) -> str:
        """Old and new on one line."""
        return " ".join(f"{self.old} → {self.new}".split())


def changes(text: str) -> list[Change]:
    """All changes of the hardware in a module.

    Hardware stands in functions that have a variable ``m``. Conditions of Python and sizes are no hardware.
    """
    finder = _Finder(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and _has_module(node):
            for statement in node.body:
                finder.visit(statement)
    return sorted(set(finder.found), key=lambda change: (change.start, change.end, change.new))


def _has_module(function: ast.FunctionDef) -> bool:
    """Whether a function has an argument or a local variable ``m``."""
    arguments = [each.arg for each in function.args.args]
    stored = [each.id for each in ast.walk(function) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
    return "m" in arguments + stored


def _is_domain(target: ast.expr) -> bool:
    """Whether statements for a clock domain are added to the target: ``m.d.sync``."""
    return isinstance(target, ast.Attribute) and ast.unparse(target.value) == "m.d"


class _Finder(ast.NodeVisitor):
    def __init__(self, text: str):
        self._text = text
        starts = [0]
        for line in text.splitlines(keepends=True):
            starts.append(starts[-1] + len(line))
        self._starts = starts
        self.found: list[Change] = []

    def _place(self, line: int, column: int) -> int:
        """Character of a place that ``ast`` gives in bytes of UTF-8."""
        start = self._starts[line - 1]
        return start + len(self._text[start : self._starts[line]].encode()[:column].decode())

    def _span(self, node: ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._place(node.lineno, node.col_offset), self._place(node.end_lineno, node.end_col_offset)

    def _source(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._text[start:end]

    def _replace(self, node: ast.expr, new: str, kind: str) -> None:
        start, end = self._span(node)
        self.found.append(Change(line=node.lineno, start=start, end=end, old=self._text[start:end], new=new, kind=kind))

    def visit_BinOp(self, node: ast.BinOp) -> None:
        left, right = self._source(node.left), self._source(node.right)
        if isinstance(node.op, ast.BitAnd | ast.BitOr):
            self._replace(node, f"({left})", "drop a term")
            self._replace(node, f"({right})", "drop a term")
        elif isinstance(node.op, ast.Add | ast.Sub):
            self._replace(node, f"({left})", "drop a term")
        if type(node.op) in OPERATORS:
            self._replace(node, f"(({left}) {OPERATORS[type(node.op)]} ({right}))", "flip an operator")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Invert):
            self._replace(node, f"({self._source(node.operand)})", "drop an inversion")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1 and type(node.ops[0]) in COMPARISONS:
            parts = self._source(node.left), self._source(node.comparators[0])
            self._replace(node, f"(({parts[0]}) {COMPARISONS[type(node.ops[0])]} ({parts[1]}))", "flip an operator")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        if name in ("Signal", "range", "Signal.like", "super().__init__"):
            return  # sizes and names
        if name.startswith("m.") and name.removeprefix("m.") in CONDITIONS:
            self._replace(node.args[0], "1", "condition always true")
            self._replace(node.args[0], "0", "condition never true")
        if name.endswith(".eq") and isinstance(node.args[0], ast.Constant) and node.args[0].value in (0, 1):
            self._replace(node.args[0], str(1 - node.args[0].value), "flip a constant")
        if name == "Mux" and len(node.args) == 3:
            self._replace(node, f"({self._source(node.args[1])})", "drop a choice")
            self._replace(node, f"({self._source(node.args[2])})", "drop a choice")
        self.visit(node.func)
        for each in node.args:
            self.visit(each)  # keywords are names and sizes

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if _is_domain(node.target):
            parts = node.value.elts if isinstance(node.value, ast.List) else [node.value]
            for part in self._droppable(parts):
                self._replace(part, "[]", "drop a statement")
        self.visit(node.value)

    def _droppable(self, parts: list[ast.expr]) -> Iterator[ast.expr]:
        """Statements that stand alone."""
        for part in parts:
            if isinstance(part, ast.Call) and ast.unparse(part.func).endswith(".eq"):
                yield part

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)  # places in a value are sizes

    def visit_If(self, node: ast.If) -> None:
        for each in (*node.body, *node.orelse):
            self.visit(each)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.visit(node.body)
        self.visit(node.orelse)

    def visit_Assert(self, node: ast.Assert) -> None:
        """A check of Python."""

    def visit_comprehension(self, node: ast.comprehension) -> None:
        self.visit(node.iter)  # conditions are Python's

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for each in node.body:
            self.visit(each)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.visit(node.body)
