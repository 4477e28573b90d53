# SPDX-License-Identifier: MIT
"""The two commands of the README without their work: which packages they ask for, which data they train on, how they count tests."""
import configparser
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def program(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + body)
    path.chmod(0o755)


class Stage:
    """A copy of scripts/ and configs/ with stand-ins for apt, meson, ninja and train that note how they were called."""

    def __init__(self, root, folder, present="", train="exit 0", totals="Ok: 2\nFail: 0\nTimeout: 0", test_status=0):
        self.root = folder / "project with a space"
        self.bin, self.calls = folder / "bin", folder / "calls"
        shutil.copytree(root / "scripts", self.root / "scripts")
        shutil.copytree(root / "configs", self.root / "configs")
        note = f'echo "$(basename "$0") $*" >> "{self.calls}"\n'
        program(self.bin / "dpkg-query", f'for last; do :; done\ncase " {present} " in *" all "*|*" $last "*) printf "install ok installed" ;; *) exit 1 ;; esac\n')
        for name in ["apt-get", "ninja"]:
            program(self.bin / name, note)
        program(self.bin / "apt-cache", "exit 1\n")
        program(self.bin / "sudo", 'exec "$@"\n')
        program(self.bin / "meson", note + f'case $1 in test) printf "{totals}\\n"; exit {test_status} ;; setup) mkdir -p "$2/meson-logs" ;; esac\n')
        program(self.root / "build/examples/train", note + train + "\n")

    def run(self, script, *arguments, **environment):
        clean = {k: v for k, v in os.environ.items() if k != "DLA_DATA_DIR"}
        self.calls.write_text("")
        result = subprocess.run([str(self.root / "scripts" / script), *arguments], capture_output=True, text=True, cwd="/",
                                env={**clean, "PATH": f"{self.bin}:{os.environ['PATH']}", **environment})
        return result.returncode, result.stdout + result.stderr, self.calls.read_text()


def main():
    root = pathlib.Path(sys.argv[1])
    stages = 0

    def stage(**options):
        nonlocal stages
        stages += 1
        return Stage(root, pathlib.Path(temporary) / str(stages), **options)

    with tempfile.TemporaryDirectory() as temporary:
        status, said, calls = stage(present="all").run("quickstart.sh")
        assert status == 0 and "apt-get" not in calls, (said, calls)

        status, said, calls = stage(present="g++ meson").run("quickstart.sh")
        asked = re.search(r"apt-get install .*", calls).group(0)
        assert status == 0 and "apt-get update" in calls and "ninja-build" in asked and "g++" not in asked and "doctest" not in asked, calls
        assert "installing with apt: ninja-build" in said, said

        status, said, calls = stage().run("quickstart.sh", "--no-install")
        assert status == 0 and "apt-get" not in calls, calls
        assert stage().run("quickstart.sh", "--nonsense")[0] == 2 and stage().run("test.sh", "--nonsense")[0] == 2
        assert stage().run("quickstart.sh", "--help")[0] == 0

        # Data: $DLA_DATA_DIR, else data/, else what train downloads, else digits; other failures stay failures.
        s = stage(present="all")
        mine = pathlib.Path(temporary) / "my data"
        (mine / "MNIST/raw").mkdir(parents=True)
        (mine / "MNIST/raw/train-images-idx3-ubyte.gz").touch()
        status, said, calls = s.run("quickstart.sh", "--", "--set", "training.num_epochs=1", DLA_DATA_DIR=str(mine))
        assert f"train --config configs/m_mlp.toml --data-dir {mine} --set training.num_epochs=1" in calls, calls
        assert f"--data-dir {mine} " in s.run("quickstart.sh", "--", "--quiet", DLA_DATA_DIR=os.path.relpath(mine, "/"))[2]  # relative to where it was called
        (s.root / "data/mnist").mkdir(parents=True)
        (s.root / "data/mnist/train-images-idx3-ubyte").touch()
        assert "m_mlp.toml --data-dir data\n" in s.run("quickstart.sh")[2]
        no_network = 'case "$*" in *m_mlp.toml*) exit 3 ;; esac'
        status, said, calls = stage(present="all", train=no_network).run("quickstart.sh")
        assert status == 0 and "--config configs/digits_mlp.toml" in calls and "built-in digits set" in said, (said, calls)
        s = stage(present="all", train="exit 3")
        assert s.run("quickstart.sh", DLA_DATA_DIR=str(mine))[0] == 3 and "digits" not in s.calls.read_text()
        assert stage(present="all", train=no_network.replace("3", "5")).run("quickstart.sh")[0] == 5
        damaged = 'case "$*" in *m_mlp.toml*) mkdir -p data/mnist; touch data/mnist/train-images-idx3-ubyte.gz; exit 3 ;; esac'
        assert stage(present="all", train=damaged).run("quickstart.sh")[0] == 3

        # What it says to try next begins with files that exist.
        status, said, calls = stage(present="all").run("quickstart.sh")
        commands = [line.split() for line in said.split("Three things to try next")[1].splitlines()[1:]]
        configs = [word for words in commands for word in words if word.startswith("configs/")]
        assert configs and all((root / word).exists() for word in configs + ["scripts/test.sh"]), commands

        totals = "Ok: 11\\nExpected Fail: 1\\nFail: 2\\nUnexpected Pass: 0\\nSkipped: 3\\nTimeout: 1\\n"
        status, said, calls = stage(present="all", totals=totals, test_status=3).run("test.sh")
        assert status == 3 and said.splitlines()[-1] == "12 passed, 3 failed, 3 skipped", said
        assert "--no-suite nightly" in calls and "-Dnightly=false" in calls
        status, said, calls = stage(present="all").run("test.sh", "--nightly")
        assert status == 0 and said.splitlines()[-1] == "2 passed, 0 failed, 0 skipped" and "--no-suite" not in calls and "-Dnightly=true" in calls, said
        assert stage(present="all", totals="nothing").run("test.sh")[0] == 1  # no test at all is no success

    # Links and files that the documents name.
    for document in [root / "README.md", root / "CONTRIBUTING.md", *(root / "docs").glob("*.md")]:
        prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.S | re.M)  # a lambda looks like a link
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (document.parent / target).exists(), f"{document.name} links to {target}, which is not there"
        for name in re.findall(r"(?:scripts|configs|examples|tests|docs|bench)/[\w./-]*\.(?:sh|toml|md|py|cpp|hpp)\b", document.read_text()):
            assert (root / name).exists(), f"{document.name} names {name}, which is not there"
    # Wraps: whole, pinned, and with build files of our own.
    wraps = list((root / "subprojects").glob("*.wrap"))
    for path in wraps:
        wrap = configparser.ConfigParser(delimiters="=")
        wrap.read(path)
        entry = wrap["wrap-file"]
        assert entry["source_url"].startswith("https://github.com/") and re.fullmatch("[0-9a-f]{64}", entry["source_hash"]), path
        build = (root / "subprojects/packagefiles" / entry["patch_directory"] / "meson.build").read_text()
        assert all(variable in build for variable in wrap["provide"].values()), path
    assert wraps

    # The layer of the guide is the layer of the course.
    guide, course = ((root / name).read_text().split("struct Swish {")[1].split("\n};")[0].split() for name in ["docs/adding_a_layer.md", "examples/course/swish.hpp"])
    assert guide == course, "docs/adding_a_layer.md and examples/course/swish.hpp differ"
    print("ok")


if __name__ == "__main__":
    main()
