"""The page that `--help` prints, made from the docstring of the script and the comments in conf/."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

FLAGS = """\
FLAGS
  --cfg job               print the whole configuration, run nothing
  --config-dir DIR        also take options from DIR/GROUP/OPTION.yaml: DIR/{group}/mine.yaml is {group}=mine"""
SWEEPS = """\
  -m                      a sweep: key=a,b and group=a,b run once for each combination
  hydra/launcher=parallel several jobs of a sweep at once; hydra.launcher.n_jobs=4
  hydra/launcher=slurm    a sweep on a Slurm cluster; keys: conf/hydra/launcher/slurm.yaml, as hydra.launcher.KEY
  hydra.run.dir=DIR       the run's folder, in place of a new one in runs/
  hydra.sweep.dir=DIR     the folder of a sweep's runs, in place of a new one in sweeps/"""
EXITS = """\
EXIT CODES
  0 done, 1 the work failed, 2 wrong settings (nothing was done), 130 interrupted, 143 terminated"""


def help_page(script: Path) -> str:
    """Return the page of a script: its docstring, the groups with their options and keys, and its commented YAML."""
    conf = script.parent / "conf"
    primary = (conf / f"{script.stem}.yaml").read_text(encoding="utf-8")
    defaults = re.findall(r"^  - (\w+): (\w+)", primary, re.MULTILINE)
    keys = primary[primary.index("\n\n", primary.index("defaults:")) :].partition("\nhydra:")[0]
    lines = [
        ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or "",
        "",
        "GROUPS (group=option, * = default; each option is a commented file conf/GROUP/OPTION.yaml)",
        *(line for group, option in defaults for line in _describe(conf / group, option)),
        "",
        f"KEYS (key=value; defaults and meanings, from conf/{script.stem}.yaml)",
        *(f"  {line}" for line in _dotted(keys)),
        "",
        FLAGS.format(group=defaults[0][0]),
        *([SWEEPS] if "\n  sweep:" in primary else []),
        "",
        EXITS,
    ]
    return "\n".join(lines)


def _describe(group: Path, default: str) -> Iterator[str]:
    """Yield a line for each option of a group, and the keys that they bring."""
    keys: dict[str, None] = {}
    for path in sorted(group.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        about = next(line for line in text.splitlines() if line.startswith("# ") and not line.startswith("# @"))
        yield f"  {group.name + '=' + path.stem + (' *' if path.stem == default else ''):25} {about[2:]}"
        loaded = yaml.safe_load(text)
        section = loaded.get(group.name, {}) if "@package _global_" in text else loaded
        keys |= dict.fromkeys(f"{group.name}.{key}" for key in section if key != "name")
    if keys:
        yield from textwrap.wrap(", ".join(keys), 110, initial_indent="      ", subsequent_indent="      ")


def _dotted(text: str) -> Iterator[str]:
    """Yield YAML's `key: value  # comment` lines as one types them: `key=value`, with sections joined by dots."""
    section = ""
    for line in filter(None, text.splitlines()):
        key, _, rest = line.partition(": ")
        if not rest:
            section = f"{line.rstrip(':')}."
            continue
        value, _, comment = rest.partition("  # ")
        owner = section if key.startswith(" ") else ""
        yield f"{owner + key.strip() + '=' + value:25} {comment}"
