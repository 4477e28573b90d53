#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fills the tables of docs/api.md from the headers: every public name with the first sentence of its documentation, and its members.

    scripts/api_reference.py            writes docs/api.md
    scripts/api_reference.py --check    fails when it is not what the headers say

A table stands between `<!-- names: HEADERS -->` and `<!-- end of names -->`, HEADERS relative to include/dla. Every header belongs to a
table or to INTERNAL, and every public name has documentation.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include" / "dla"
DOCUMENT = ROOT / "docs" / "api.md"

# What nobody names who uses the library, or adds a layer or a kernel as the guides say.
INTERNAL = """
backend/precision.hpp compose/chain.hpp compose/check.hpp compose/conv_norm.hpp compose/conv_norm_pair.hpp compose/cpu_groups.hpp compose/fork.hpp compose/fork_backward.hpp
compose/linear_norm.hpp compose/merged_shape.hpp compose/norm_members.hpp compose/plan.hpp compose/schedule.hpp config/check.hpp core/arena.hpp core/config.hpp core/edit_distance.hpp
core/hash.hpp core/math.hpp core/objects.hpp core/pack.hpp data/cifar.hpp data/gzip.hpp data/idx.hpp  data/tar.hpp inspect/graph_label.hpp inspect/graph_dot.hpp inspect/graph_svg.hpp inspect/layer_tree.hpp
inspect/svg_text.hpp inspect/table.hpp io/plot_axis.hpp io/plot_script.hpp io/safetensors_header.hpp io/wire.hpp layers/axis.hpp layers/window.hpp model/batch_memory.hpp model/builder.hpp
model/leaf_tree.hpp model/network.hpp model/param_memory.hpp model/workspace.hpp optim/optimizer_memory.hpp train/rows.hpp version.hpp
""".split()
NAME = r"[A-Za-z]\w*"


# What containers call, and those who use a layer do not.
OF_LAYERS = set("""needs any name attributes out_shape macs dims build scratch infer forward backward keep prepare prepared_bytes options in_place is_view is_identity
reads_y rectifies merge check_batch columns rows in size_in_type""".split())


class Entry:
    def __init__(self, name, doc, header, line, declaration):
        self.name, self.doc, self.header, self.line, self.declaration, self.members = name, doc, header, line, declaration, []


def first_sentence(doc):
    text = " ".join(doc).strip()
    end = re.search(r"(?<!e\.g)(?<!i\.e)(?<!\.)\.(?= |$)", text)
    return (text[: end.start()] if end else text).rstrip(".:")


def declared(line):
    """The name that a line at namespace scope declares, or None."""
    m = re.match(r"(?:struct|class|enum class|enum)\s+(?:\[\[.*?\]\] )?(" + NAME + r")(.*)", line)
    if m:
        return None if re.match(r"\s*(;|<)", m.group(2)) else m.group(1)
    m = re.match(r"(?:template <.*> )?(?:concept|using)\s+(" + NAME + r")\s*=", line)
    if m:
        return m.group(1)
    m = re.match(r"(?:\[\[.*?\]\] )*(?:DLA_ONCE )?(?:inline |constexpr |static )*[\w:<>,\s\*&\.\(\)]*?[\s\*&>](" + NAME + r")\s*(\(|=|\{|;)", line)
    if not m or re.match(r"(template|requires|DLA_TEMPLATE_ONCE|public|private|extern|return|namespace|static_assert|friend)\b", line):
        return None
    return None if m.group(1) in ("operator", "const", "noexcept", "default", "delete") or m.group(1) + "::" in line or "::" + m.group(1) + "(" in line else m.group(1)


def member(line):
    """The name that a line of a class declares, or None."""
    if not re.match(r"    \S", line) or re.match(r"    (//|#|using|template|friend|static_assert|struct|class|enum|requires|return|if|for|explicit|constexpr explicit|~|\}|:)", line):
        return None
    m = re.match(r"    (?:\[\[.*?\]\] )*(?:virtual |static |constexpr |inline |mutable )*[\w:<>,\s\*&\.\[\]]*?[\s\*&>](" + NAME + r")\s*(\(|=|\{|;|\[)", line)
    return m.group(1) if m and m.group(1) not in ("operator", "const", "delete", "default", "noexcept") else None


def declaration(lines, at):
    """What lines[at] declares, without its body, in one line."""
    first = at
    while first > 0 and re.match(r"\s*(template <|requires\b)", lines[first - 1]):
        first -= 1
    text, depth = "", 0
    for c in "".join(re.sub(r"\s*//.*", "", line).strip() + " " for line in lines[first:at + 40]):
        if depth == 0 and c == "{" and (re.search(r"(\)|\bconst|&|\bnoexcept|\boverride|\)\s*:.*)\s*$", text) or re.match(r"(template <.*> )?(struct|class|enum)\b", text)):
            break
        if depth == 0 and c == ";":
            break
        depth += (c in "([{") - (c in ")]}")
        text += c
    if re.match(r"enum class \w+$", text.strip()) and (values := re.match(r"enum class \w+ (\{[^{}]*\});", lines[at])):
        text += values.group(1)
    if not lines[at].startswith(" "):
        text = text.replace("static ", "")
    text = re.sub(r"\b(DLA_ONCE|inline" + ("|constexpr" if "(" in text or "struct" in text else "") + r"|virtual|explicit|friend|mutable) |\[\[[\w:]+\]\] ?", "", " ".join(text.split()))
    text = re.sub(r"(?<=\)) : .*$", "", text)
    return re.sub(r"\brequires ?(\(.*?\)+|requires.*?) (?=(struct|class|[\w:<>&]+ \w+\())", "", text).strip()


def entries_of(path):
    header = str(path.relative_to(HEADERS))
    scope, doc, found, inside, public = [], [], {}, None, True
    lines = path.read_text().split("\n")
    for number, line in enumerate(lines, 1):
        space = re.match(r"(?:inline )?namespace ([\w:\s]*?)\s*\{", line)
        if space:
            scope.append(space.group(1).strip())
            doc = []
        elif line.startswith("}  // namespace"):
            scope.pop()
        elif not "::".join(scope).startswith("dla") or "detail" in "::".join(scope):
            continue
        elif line.startswith("///"):
            doc.append(line[3:].strip())
        elif inside and line.startswith("};"):
            inside = None
        elif inside:
            if re.match(r"(private|protected):", line):
                public = False
            elif line.startswith("public:"):
                public = True
            elif inside.declaration.startswith("enum"):
                if value := re.match(r"    (\w+)(?: = [^,]*)?,?\s*(?:///< (.*))?$", line):
                    inside.members.append((value.group(1), value.group(1), value.group(2) or ""))
            elif public and (kinds := re.match(r"    (enum class (\w+) \{[^{}]*\});", line)):
                inside.members.append((kinds.group(2), kinds.group(1), ""))
            elif public and re.match(rf"    (requires\(.*\) |explicit |constexpr )*{inside.name}\(", line) and "static_assert(" not in lines[number] and not re.search(rf"= delete|\(const {inside.name}&\)|\({inside.name}&&|\(\) = default", line):
                inside.members.append((inside.name, declaration(lines, number - 1), ""))
            elif public and (name := member(line)) and name != inside.name and not name.endswith("_"):
                trailing = re.search(r"///< (.*)", line)
                if not (header.startswith(("layers/", "compose/")) and name in OF_LAYERS):
                    inside.members.append((name, declaration(lines, number - 1), trailing.group(1) if trailing else ""))
        elif re.match(r"(template|requires|DLA_TEMPLATE_ONCE)\b", line) and not re.search(r"\b(using|concept)\b", line):
            continue
        elif line and not line.startswith((" ", "}", "#", "/")):
            name = declared(line)
            trailing = re.search(r"///< (.*)", line)
            if name and name not in found:
                found[name] = Entry(name, [trailing.group(1)] if trailing else doc, header, number, declaration(lines, number - 1))
            if name and re.match(r"(struct|class|enum)\s", line) and not line.rstrip().endswith((";", "}")):
                inside, public = found[name], line.startswith("struct")
            if name and (hidden := re.match(r"using \w+ = detail::(\w+)", line)):  # its members stand where it is defined
                at = next((i for i, l in enumerate(lines) if re.match(rf"struct {hidden.group(1)} {{", l)), None)
                for i in range(at + 1, lines.index("};", at)) if at is not None else ():
                    if field := member(lines[i]):
                        found[name].members.append((field, declaration(lines, i), (re.search(r"///< (.*)", lines[i]) or [None, ""])[1]))
            doc = []
        elif not line.startswith(" "):
            doc = doc if line.startswith(("///", "#")) else []
    return list(found.values())


def listed(entries):
    rows = []
    for e in entries:
        rows.append(f"- `{e.declaration}`: {first_sentence(e.doc)}")
        rows += [f"  - `{declared}`" + (f": {doc}" if doc else "") for _, declared, doc in e.members]
    return "\n".join(rows)


def main():
    problems, covered = [], set(INTERNAL)
    text = DOCUMENT.read_text()

    def fill(m):
        shown = []
        for pattern in m.group(1).split():
            only = None
            if ":" in pattern:
                pattern, names = pattern.split(":")
                only = names.split(",")
            paths = sorted(p for p in HEADERS.glob(pattern) if not p.name.endswith((".inl.hpp", ".impl.hpp")) and str(p.relative_to(HEADERS)) not in INTERNAL or only)
            if not paths:
                problems.append(f"docs/api.md: no header is called {pattern}")
            for path in paths:
                covered.add(str(path.relative_to(HEADERS)))
                entries = [e for e in entries_of(path) if not only or e.name in only]
                if only and len(entries) != len(only):
                    problems.append(f"docs/api.md: {pattern} does not have all of {', '.join(only)}")
                problems.extend(f"include/dla/{e.header}:{e.line}: {e.name} has no documentation" for e in entries if not first_sentence(e.doc))
                shown += entries
        return f"<!-- names: {m.group(1)} -->\n\n{listed(shown)}\n\n<!-- end of names -->"

    filled = re.sub(r"<!-- names: (.*?) -->\n.*?<!-- end of names -->", fill, text, flags=re.S)
    for path in sorted(HEADERS.rglob("*.hpp")):
        header = str(path.relative_to(HEADERS))
        if header.endswith((".inl.hpp", ".impl.hpp")) or header.startswith(("kernels/reference", "kernels/cpu")) or "/" not in header:
            continue
        if header not in covered and entries_of(path):
            problems.append(f"include/dla/{header}: stands in no table of docs/api.md; add it, or list it as internal in scripts/api_reference.py")
    if "--check" in sys.argv[1:]:
        if filled != text:
            problems.append("docs/api.md is not what the headers say; run scripts/api_reference.py")
    elif not problems:
        DOCUMENT.write_text(filled)
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
