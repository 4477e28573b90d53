# SPDX-License-Identifier: MIT
"""Compiles every C++ block of a document, as a reader would who copies one after another into a file.

A block that declares something stands at namespace scope, another one inside a function. A block with a main function
ends the file, which is also run; `<!-- new file -->` in the line before a block begins another one. `<!-- refused: REGEX -->`
says that the compiler refuses the block, after all declarations before it, with a message that matches. `<!-- needs: PACKAGES -->`: the block is a file
of its own, which is compiled where pkg-config knows the packages.
"""
import os
import pathlib
import re
import subprocess
import sys


def blocks(text):
    """(line number, line above, code) of every ```cpp block."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if lines[at].strip() == "```cpp":
            end = next(i for i in range(at + 1, len(lines)) if lines[i].strip() == "```")
            yield at + 2, lines[at - 1].strip() if at else "", "\n".join(lines[at + 1:end])
            at = end
        at += 1


def is_declaration(code):
    first = next(line for line in code.splitlines() if line.strip() and not line.lstrip().startswith("//"))
    return re.match(r"#|(template|struct|class|using|namespace|inline|constexpr|static_assert|int main)\b", first)


def files_of(document):
    """(code, line of its last block, refusal or None, packages) of every file that the blocks make."""
    files, declared, code, last = [], "", "", 0
    for line, above, block in blocks(document.read_text()):
        numbered = f'#line {line} "{document.name}"\n{block}\n'
        if refusal := re.fullmatch(r"<!-- refused: (.*) -->", above):
            includes = re.findall(r"^#include.*\n", files[-1][0], re.M) if files and not declared else []
            files.append(("".join(includes) + declared + numbered, line, refusal.group(1), []))
            continue
        if needs := re.fullmatch(r"<!-- needs: (.*) -->", above):
            files.append((numbered, line, None, needs.group(1).split()))
            continue
        if above == "<!-- new file -->":
            if code:
                files.append((code, last, None, []))
            declared = code = ""
        if is_declaration(block):
            code += numbered
        else:
            code += f"inline void snippet_{line}() {{\n{numbered}}}\n"
        last = line
        if re.search(r"^int main\(", block, re.M):
            files.append((code, line, None, []))
            code = ""
        else:
            declared = code
    if code:
        files.append((code, last, None, []))
    return files


def flags_of(packages):
    """What the compiler is told to find packages, or None where one is missing."""
    try:
        said = subprocess.run(["pkg-config", "--cflags", *packages], capture_output=True, text=True) if packages else None
    except FileNotFoundError:
        return None
    return [] if said is None else said.stdout.split() if said.returncode == 0 else None


def main():
    root, document, work = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3])
    compiler = sys.argv[sys.argv.index("--") + 1:]
    flags = ["-std=c++20", "-O1", "-Wall", "-Wextra", "-Werror=return-type", f"-I{root / 'include'}", f"-I{root / 'examples' / 'course'}"]
    failed = 0
    files = files_of(root / document)
    for code, line, refusal, packages in files:
        known = flags_of(packages)
        if known is None:
            print(f"{document}:{line}: skipped, there is no {' or no '.join(packages)}")
            continue
        source = work / f"{pathlib.Path(document).stem}_{line}.cpp"
        source.write_text(code)
        program = source.with_suffix("")
        runs = re.search(r"^int main\(", code, re.M) and not refusal
        target = ["-pthread", "-o", str(program), *os.environ.get("DLA_LINK", "").split()] if runs else ["-fsyntax-only"]
        result = subprocess.run(compiler + flags + known + [str(source)] + target, capture_output=True, text=True)
        if refusal:
            said = re.sub(r'"\}, Line<\d+>\{"', "", result.stderr)  # clang prints the sentence in pieces
            good = result.returncode != 0 and re.search(refusal, said)
            said = f"expected a refusal that matches /{refusal}/, got:\n"
        else:
            good, said = result.returncode == 0, ""
        if good and runs:
            result = subprocess.run([str(program)], capture_output=True, text=True, cwd=work, timeout=120)
            good = result.returncode == 0
        print(f"{document}:{line}: {'ok' if good else 'FAILED'}{' (refused, as it says)' if refusal else ' (ran)' if runs else ''}")
        if not good:
            print(said + result.stdout + result.stderr)
            failed += 1
    print(f"{len(files)} files, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
