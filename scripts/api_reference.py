#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Fills the tables of docs/api.md from the headers: every public name with the first sentence of its documentation, and its members.

    scripts/api_reference.py            writes docs/api.md
    scripts/api_reference.py --check    fails when it is not what the headers say

A table stands between `<!-- names: HEADERS -->` and `<!-- end of names -->`, HEADERS relative to include/dla. Every header belongs to a
table or to INTERNAL, and every public name has documentation. Overloads stand below the first declaration of their name; what is deleted, copies,
or only says with a static_assert why it is refused is left out.
"""
import pathlib
import re
import sys

sys.dont_write_bytecode = True  # a test runs this among the sources
import declarations

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include" / "dla"
DOCUMENT = ROOT / "docs" / "api.md"

# What nobody names who uses the library, or adds a layer or a kernel as the guides say.
INTERNAL = """
backend/precision.hpp compose/chain.hpp compose/check.hpp compose/conv_norm.hpp compose/conv_norm_pair.hpp compose/cpu_groups.hpp compose/fork.hpp compose/fork_backward.hpp
compose/linear_norm.hpp compose/merged_shape.hpp compose/norm_members.hpp compose/plan.hpp compose/schedule.hpp config/check.hpp core/arena.hpp core/config.hpp core/edit_distance.hpp
core/hash.hpp core/math.hpp core/objects.hpp core/pack.hpp data/cifar.hpp data/gzip.hpp data/idx.hpp  data/tar.hpp inspect/graph_label.hpp inspect/graph_dot.hpp inspect/graph_svg.hpp inspect/layer_tree.hpp
inspect/svg_text.hpp io/plot_axis.hpp io/plot_script.hpp io/safetensors_header.hpp io/wire.hpp layers/axis.hpp layers/window.hpp model/batch_memory.hpp model/builder.hpp
model/leaf_tree.hpp model/network.hpp model/param_memory.hpp model/workspace.hpp model/workspace_pool.hpp optim/optimizer_memory.hpp train/fit_log.hpp train/rows.hpp version.hpp
""".split()

# What containers call, and those who use a layer do not.
OF_LAYERS = set("""needs any name attributes out_shape macs dims build scratch infer forward backward keep prepare prepared_bytes options in_place is_view is_identity
reads_y rectifies merge check_batch columns rows in size_in_type
State Tape Plan Scratch needs_on has_parameters has_parameters_on is_container Links Units""".split())


def first_sentence(doc):
    text = " ".join(doc).strip()
    end = re.search(r"(?<!e\.g)(?<!i\.e)(?<! al)(?<!\.)\.(?= |$)", text)
    return (text[: end.start()] if end else text).rstrip(".:")


def is_listed(d, header, owner=None):
    """Whether a declaration is one that a user calls or names."""
    if owner and (d.name.endswith("_") or d.kind != "enum" and header.startswith(("layers/", "compose/")) and d.name in OF_LAYERS):
        return False
    if d.kind != "function":
        return True
    if d.deleted or re.match(r"\{\s*static_assert\(sizeof\(\w+\) == 0", d.body):  # refused, with a sentence
        return False
    return not (d.constructor and (d.copies or d.empty and d.defaulted) or owner and d.name == "operator=" and re.search(rf"\((const )?{owner.name}\b", d.text))


def entries_of(path):
    """[header, declarations of one name] for every public name of a header."""
    header, found = str(path.relative_to(HEADERS)), declarations.read(path.read_text())
    hidden = {d.name: d for d in found if "detail" in d.space}
    names = {}
    for d in found:
        if d.space[:1] != ["dla"] or "detail" in d.space or not d.name or not is_listed(d, header):
            continue
        # The members of what lies in dla::detail stand where it is named, or derived from.
        if (base := re.search(r"(?:^using \w+ = | : (?:public )?)detail::(\w+)(<.*>)?", d.text)) and base.group(1) in hidden:
            d.members = hidden[base.group(1)].members + d.members
            if d.kind == "type":
                d.text = d.text[:base.start()] + (re.search(r" : (?!:).*|$", hidden[base.group(1)].text).group())
        elif base and d.kind == "type" and not d.text.startswith("using"):  # a base in another header
            d.text = d.text[:base.start()]
        same = names.setdefault((d.name, d.kind == "function"), [])
        if d.key not in [e.key for e in same]:  # a name may stand on both sides of an #else
            same.append(d)
    return header, list(names.values())


def shortened(text):
    """A declaration without the bodies in it where it is long."""
    at = 0
    while len(text) > 160 and (at := text.find("{", at)) >= 0:
        end = declarations.balanced(text, at)
        if end - at > 20:
            text = text[:at] + "{ ... }" + text[end:]
        at += 1
    return text


def line_of(d, depth):
    text = shortened(d.text)
    doc = first_sentence(d.doc)
    return "  " * depth + f"- `{text}`" + (f": {doc}" if doc else "")


def members_of(d, header, depth):
    rows = []
    for m in d.members:
        if d.kind == "enum":
            if "{" not in d.text or m.doc:
                rows.append(line_of(m, depth))
        elif is_listed(m, header, d):
            rows.append(line_of(m, depth))
            rows += members_of(m, header, depth + 1)
    return rows


def listed(groups):
    rows, space = [], ["dla"]
    for header, group in groups:
        if group[0].space != space:
            space = group[0].space
            rows += ["", f"In `{'::'.join(space)}`:", ""] if rows else [f"In `{'::'.join(space)}`:", ""]
        for d in group:  # the first one with its documentation, overloads below it
            rows.append(line_of(d, 0 if d is group[0] else 1))
            rows += members_of(d, header, 1)
    return "\n".join(rows)


def seen_at_a_glance(text):
    """Names that lines of a header seem to declare in namespace dla: a second look, by rules of thumb, at what the scanner must have found."""
    scope = []
    for line in text.split("\n"):
        if space := re.match(r"(?:inline )?namespace ([\w:\s]*?)\s*\{", line):
            scope.append(space.group(1))
        elif line.startswith("}  // namespace"):
            scope.pop()
        elif not "::".join(scope).startswith("dla") or "detail" in "::".join(scope) or re.match(r"static_assert|DLA_|using namespace|extern|friend", line):
            continue
        elif m := re.match(r"(?:template <.*> )?(?:struct|class|enum class|enum|concept|using) (?:\[\[.*?\]\] )?(\w+)(?= *(?:$|\{|=|: |final\b))|[A-Za-z][^=/(]*[ &*](operator\W{1,2}|\w+)(?=\()", line):
            if name := m.group(1) or "requires" not in line and m.group(2):
                yield name


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
                try:
                    header, groups = entries_of(path)
                except declarations.Unread as problem:
                    problems.append(f"include/dla/{path.relative_to(HEADERS)}:{problem}: scripts/declarations.py cannot read this")
                    continue
                for name in () if only else sorted(set(seen_at_a_glance(path.read_text())) - {g[0].name for g in groups}):
                    problems.append(f"include/dla/{header}: {name} seems to be public, and was not found")
                groups = [g for g in groups if not only or g[0].name in only]
                if only and {g[0].name for g in groups} != set(only):
                    problems.append(f"docs/api.md: {pattern} does not have all of {', '.join(only)}")
                problems.extend(f"include/dla/{header}:{g[0].line}: {g[0].name} has no documentation"
                                for g in groups if not first_sentence(g[0].doc) and not g[0].name.startswith("operator"))
                shown += [(header, g) for g in groups]
        return f"<!-- names: {m.group(1)} -->\n\n{listed(shown)}\n\n<!-- end of names -->"

    filled = re.sub(r"<!-- names: (.*?) -->\n.*?<!-- end of names -->", fill, text, flags=re.S)
    for path in sorted(HEADERS.rglob("*.hpp")):
        header = str(path.relative_to(HEADERS))
        if header.endswith((".inl.hpp", ".impl.hpp")) or header.startswith(("kernels/reference", "kernels/cpu", "kernels/cuda")) or "/" not in header:
            continue
        if header not in covered and entries_of(path)[1]:
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
