# SPDX-License-Identifier: MIT
"""Reads what a header declares: a scanner for the C++ of this library, which needs no compiler.

It takes a header apart at its braces and semicolons. Every statement is either a declaration with a name, or of a kind that is known to declare nothing
new (Unread is raised for all others), so that nothing falls out unnoticed.
"""
import re

CLOSING = {"(": ")", "[": "]", "{": "}"}
NOTHING = r"(static_assert|using namespace|extern template|template (?!<)|template <> |friend (struct|class) |template <.*> friend (struct|class) |~|virtual ~)"
OPERATOR = r"operator\s*(?:\(\)|\[\]|[-+*/%^&|~!=<>,]+|(?:const )?[A-Za-z_][\w:]*(?: ?[*&])?)"


class Unread(Exception):
    pass


class Declaration:
    def __init__(self, kind, name, text, line, doc, space):
        self.kind, self.name, self.text, self.line, self.doc, self.space = kind, name, text, line, doc, space
        self.key, self.body, self.members = name, "", []  # `key`: the same for all declarations of one thing


def blank(text):
    """The text of a header without directives; comments but documentation and what strings say are blanked, lines stay where they are."""
    out, at = [], 0
    for m in re.finditer(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', text, re.S | re.M):
        out.append(text[at:m.start()])
        found, at = m.group(), m.end()
        if found.startswith("///") or found[0] in "\"'":
            out.append(found)
        else:
            out.append(re.sub(r"[^\n]", " ", found))
    return "".join(out) + text[at:]


def skip_string(text, at):
    return re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|///[^\n]*').match(text, at)


def balanced(text, at):
    """Behind the bracket that closes the one at `at`."""
    depth, end = 0, CLOSING[text[at]]
    while at < len(text):
        if m := skip_string(text, at) if text[at] in "\"'/" else None:
            at = m.end()
            continue
        depth += (text[at] in CLOSING) - (text[at] in ")]}")
        at += 1
        if depth == 0:
            if text[at - 1] != end:
                raise Unread(text[at - 1])
            return at
    raise Unread("a bracket that nothing closes")


def angles(text, at):
    """Behind the > that closes the < at `at`."""
    depth = 0
    while at < len(text):
        if text[at] in CLOSING:
            at = balanced(text, at)
            continue
        if m := skip_string(text, at) if text[at] in "\"'" else None:
            at = m.end()
            continue
        depth += (text[at] == "<") - (text[at] == ">" and text[at - 1] != "-")
        at += 1
        if depth == 0:
            return at
    raise Unread("a < that nothing closes")


def constraint(text, at):
    """Behind a constraint-expression: primaries between && and ||."""
    while True:
        at = re.compile(r"[\s!]*").match(text, at).end()
        if m := re.compile(r"requires\s*").match(text, at):
            at = m.end()
            if text[at] == "(":
                at = re.compile(r"\s*").match(text, balanced(text, at)).end()
            at = balanced(text, at)
        elif text[at] == "(":
            at = balanced(text, at)
        else:
            at = re.compile(r"[\w:]+").match(text, at).end()
            if text[at] == "<":
                at = angles(text, at)
        m = re.compile(r"\s*(&&|\|\|)").match(text, at)
        if not m:
            return at
        at = m.end()


def heads(text):
    """(template heads with their constraints, the rest) of a declaration."""
    at = 0
    while m := re.compile(r"\s*(template\s*(?=<)|requires\b)").match(text, at):
        at = angles(text, m.end()) if m.group(1).startswith("template") else constraint(text, m.end())
    return text[:at].strip(), text[at:].strip()


def opening(text):
    """Where the parameters of a function begin, or -1: the first bracket behind a name outside of angle brackets, before any = or brace."""
    at = 0
    while at < len(text):
        if m := re.compile(OPERATOR + r"\s*(?=\()").match(text, at) if (at == 0 or not text[at - 1].isalnum()) else None:
            return m.end()
        if text[at] == "(":
            before = re.search(r"(\w+)\s*$", text[:at])
            if before and before.group(1) not in ("decltype", "noexcept", "alignas", "explicit", "requires"):
                return at
            at = balanced(text, at)
        elif text[at] == "<":
            at = angles(text, at)
        elif text[at] in "[":
            at = balanced(text, at)
        elif text[at] in "={;":
            return -1
        else:
            at += 1
    return -1


def split(text, separator=","):
    """The parts of a list, each without the space around it."""
    parts, start, at = [], 0, 0
    while at < len(text):
        if m := skip_string(text, at) if text[at] in "\"'" else None:
            at = m.end()
        elif text[at] in CLOSING:
            at = balanced(text, at)
        elif text[at] == "<" and re.search(r"\w$", text[:at]):
            at = angles(text, at)
        elif text[at] == separator:
            parts.append(text[start:at].strip())
            at = start = at + 1
        else:
            at += 1
    return [p for p in parts + [text[start:].strip()] if p]


def cut(text):
    """A declarator without what initialises it."""
    at = 0
    while at < len(text) and text[at] not in "={":
        if text[at] in "([":
            at = balanced(text, at)
        elif text[at] == "<":
            at = angles(text, at)
        else:
            at += 1
    return text[:at].rstrip()


def types_of(parameters):
    """The types of a list of parameters: no names, no defaults, so that a declaration and its definition agree."""
    return ", ".join(re.sub(r"(?<=[\w>&*.\]]) ?\b(?<![:\w])(?!const\b|int\b|bool\b|double\b|float\b|char\b|long\b|unsigned\b)[a-z_]\w*$", "", split(p, "=")[0]) if re.search(r"[ &*]\w+$", split(p, "=")[0]) else split(p, "=")[0]
                     for p in split(parameters))


class Scanner:
    def __init__(self, text):
        self.text, self.found = blank(text), []
        self.at = 0

    def line(self, at):
        return self.text.count("\n", 0, at) + 1

    def scope(self, end, space, owner):
        """Reads statements up to `end`; gives the declarations that anybody may use."""
        declarations, doc = [], []
        public = owner is None or heads(owner.text)[1].split()[0] != "class"
        while True:
            self.at = re.compile(r"[\s;]*").match(self.text, self.at).end()
            if self.at >= end:
                return declarations
            if m := re.compile(r"///(<?) ?(.*)").match(self.text, self.at):
                if m.group(1) and declarations and self.line(self.at) == declarations[-1].last:
                    declarations[-1].doc = [m.group(2)]
                elif not m.group(1):
                    doc.append(m.group(2).strip())
                self.at = m.end()
                continue
            if m := re.compile(r"(public|private|protected)\s*:(?!:)").match(self.text, self.at):
                public, doc, self.at = m.group(1) == "public", [], m.end()
                continue
            if m := re.compile(r"(inline\s+)?namespace\s+([\w:\s]+?)\s*\{").match(self.text, self.at):
                inside = [n.strip() for n in m.group(2).split("::")]
                names = [] if m.group(1) else [n for n in inside if not n.startswith("inline ")]
                close = balanced(self.text, m.end() - 1)
                self.at = m.end()
                declarations += self.scope(close - 1, space + names, None)
                self.at, doc = close, []
                continue
            if m := re.compile(r"DLA_TEMPLATE_ONCE\s*(?=\()").match(self.text, self.at):
                self.at, doc = balanced(self.text, m.end()), []
                continue
            start = self.at
            text, body = self.statement(end)
            made = self.declare(text, body, start, doc, space, owner)
            for d in made:
                d.last = self.line(self.at - 1)
            if public:
                declarations += made
            elif made:  # what stands behind it documents it, not the one before
                m = re.compile(r"[ \t;]*///<[^\n]*").match(self.text, self.at)
                self.at = m.end() if m else self.at
            doc = []

    def statement(self, end):
        """The next statement in one line without its body, and (begin, end) of the body or None; stands behind it afterwards."""
        start = at = self.at
        m = re.compile(r"\s*(?:template\s*(?=<)|requires\b)").match(self.text, at)
        while m:
            at = angles(self.text, m.end()) if "template" in m.group() else constraint(self.text, m.end())
            m = re.compile(r"\s*(?:template\s*(?=<)|requires\b)").match(self.text, at)
        first = at
        kind = re.compile(r"\s*(?:friend\s+)?(?:\[\[[^\]]*\]\]\s*)?(struct|class|union|enum)\b").match(self.text, at)
        valued = re.compile(r"\s*(concept|using)\b").match(self.text, at)
        while at < end:
            c = self.text[at]
            if c in "\"'/" and (m := skip_string(self.text, at)):
                at = m.end()
            elif c == ";":
                self.at = at + 1
                return self.one_line(start, at), None
            elif c in "([":
                at = balanced(self.text, at)
            elif c == "{":
                before = self.text[first:at].rstrip()
                close = balanced(self.text, at)
                if kind:
                    self.at = close
                    m = re.compile(r"\s*;").match(self.text, close)
                    if not m:
                        raise Unread("a type with a variable")
                    self.at = m.end()
                    return self.one_line(start, at), (at, close)
                begin = -1 if valued else opening(self.one_line(first, at))
                if begin < 0 or re.search(r"requires(\s*\([^{}]*\))?$", before) and not re.search(r"\)\s*(const\s*)?requires\s*\([^{}]*\)$", before):
                    at = close
                    continue
                initialisers = re.search(r"\)\s*(?:noexcept\s*)?:(?!:)", before)
                if initialisers and re.search(r"[\w>]$", before) and not re.search(r"\b(const|noexcept|override)$", before):
                    at = close
                    continue
                self.at = close
                return self.one_line(start, at), (at, close)
            else:
                at += 1
        raise Unread("a statement without an end")

    def one_line(self, start, at):
        return " ".join(re.sub(r"///[^\n]*", "", self.text[start:at]).split())

    def declare(self, text, body, start, doc, space, owner):
        """The declarations of a statement."""
        line = self.line(start)
        plain = re.sub(r"\[\[[^\]]*\]\] ?", "", text).strip()
        if re.match(NOTHING, plain):
            return []
        head, rest = heads(plain)
        if re.match(r"friend (struct|class)\b|static_assert\b|using namespace\b|using [\w:<>, ]+::\w+$", rest):
            return []
        line += self.text[start:start + len(self.text)][: self.text[start:].index(rest.split()[0])].count("\n") if rest else 0
        shown = re.sub(r"\b(DLA_ONCE|inline|virtual|explicit|friend|mutable|extern) ", "", plain)
        if m := re.match(r"(struct|class|union|enum class|enum)\s+(\w+)?\s*(.*)", rest):
            if body is None or m.group(2) is None and m.group(1) != "enum" or m.group(3).startswith("<"):
                return []  # declared before, or a specialisation
            made = Declaration("type", m.group(2) or "", re.sub(r" final\b", "", shown), line, list(doc), space)
            if m.group(1).startswith("enum"):
                made.kind = "enum"
                values = self.text[body[0] + 1:body[1] - 1]
                for m in re.finditer(r"(?:///(?!<)[^\n]*\s*)*(\w+)\s*(?:= ?[^,/\n]*)?,?[ \t]*(?:///< ?([^\n]*))?", values):
                    value = Declaration("value", m.group(1), m.group(1), line, [m.group(2)] if m.group(2) else [], space)
                    made.members.append(value)
                if values.strip() and values.count("\n") == 0:
                    made.text += " {" + values.rstrip(", ") + " }"
            else:
                after, self.at = self.at, body[0] + 1
                made.members = self.scope(body[1] - 1, space, made)
                self.at = after
            return [made]
        if m := re.match(r"(using|concept) (\w+) = ", rest):
            return [Declaration(m.group(1), m.group(2), shown, line, list(doc), space)]
        if m := re.match(r"[^=]*\((?:\*|&) ?(\w+)\)\(", rest):
            return [Declaration("variable", m.group(1), shown, line, list(doc), space)]  # a pointer to a function
        begin = opening(rest)
        if begin >= 0:
            before, end = rest[:begin].rstrip(), balanced(rest, begin)
            name = re.search(rf"(?:{OPERATOR}|(?<![\w~])[A-Za-z_]\w*)$", before)
            if re.search(r"::~\w+$", before):
                return []
            if not name or re.search(r"(::|~)$", before[:name.start()]) :
                if name and before[:name.start()].endswith(("::", "~")):
                    return []  # the body of what is declared in its class; a destructor
                raise Unread(text[:80])
            if owner is None and re.match(r"\s*->", rest[end:]) and before == name.group():
                return []  # a deduction guide
            quals = re.match(r"( ?\b(const|noexcept|volatile)\b| ?&&?)*", rest[end:]).group()
            made = Declaration("function", " ".join(name.group().split()), "", line, list(doc), space)
            made.body = self.text[body[0]:body[1]] if body else ""
            made.deleted, made.defaulted = bool(re.search(r"= delete$", rest)), bool(re.search(r"= default$", rest))
            made.copies = owner is not None and bool(re.fullmatch(rf"(const )?{owner.name}( ?&&?)?( ?\w+)?", rest[begin + 1:end - 1].strip()))
            made.empty = end == begin + 2
            made.constructor = owner is not None and made.name == owner.name
            tail = rest[end:]
            if made.constructor:
                tail = re.sub(r" ?(noexcept(\(.*?\))? ?)?:(?!:).*", "", tail)
            made.text = re.sub(r"\bconstexpr ", "", shown[: len(shown) - len(rest[end:])]) + re.sub(r" (override|final|= default)\b", "", tail)
            made.key = (made.name, re.sub(r" ?=[^,<>]*(?=[,>])", "", head), types_of(rest[begin + 1:end - 1]), quals.replace("noexcept", "").strip())
            return [made]
        names = [re.search(r"([\w:~]+|>)(?: ?\[[^\]]*\])*$", cut(part)) for part in split(rest)]
        if names and all(names) and " " in rest:
            name = names[0].group(1)
            if name == ">" or "::" in name and owner is None:
                return []  # a specialisation; a member of a class that was declared in it
            if re.fullmatch(r"[A-Za-z_]\w*", name):
                made = Declaration("variable", name, shown, line, list(doc), space)
                made.others = [n.group(1) for n in names[1:]]
                return [made]
        raise Unread(text[:100])


def read(text):
    """The declarations of a header, in order, those in classes as members; raises Unread with the line of what cannot be read."""
    scanner = Scanner(text)
    try:
        return scanner.scope(len(scanner.text), [], None)
    except Unread as problem:
        raise Unread(f"{scanner.line(scanner.at)}: {problem}") from None
