"""The page that `--help` prints, made from the docstring of the command and the comments in conf/."""

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from fer.paths import CONF, command

FLAGS = """\
FLAGS
  --cfg job               print the whole configuration, run nothing
  --config-dir DIR        also take your own options: DIR/{group}/mine.yaml is {group}=mine"""
SWEEPS = """\
  -m                      a sweep: key=a,b and group=a,b run once for each combination
  hydra/launcher=parallel several jobs of a sweep at once; hydra.launcher.n_jobs=4
  hydra/launcher=slurm    on a Slurm cluster; hydra.launcher.KEY of conf/hydra/launcher/slurm.yaml
  hydra.run.dir=DIR       the run's folder, in place of a new one in runs/
  hydra.sweep.dir=DIR     the folder of a sweep's runs, in place of a new one in sweeps/"""
EXITS = """\
EXIT CODES
  0 done, 1 the work failed, 2 wrong settings (nothing was done), 130 interrupted, 143 terminated"""
WIDTH = 100  # of the page's lines, in letters
KEY = re.compile(r"( *)(\w+):(?: (\S.*?))?(?:  # (.*))?")  # a line of YAML: indentation, key, value, comment


def help_page(script: Path, own: Path | None = None) -> str:
    """Return the page of a command: its docstring, the groups with their options and keys, and its commented YAML.

    Args:
        script: its file, fer/commands/NAME.py.
        own: a second folder with options, as `--config-dir` names it.
    """
    about = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    primary = (CONF / f"{script.stem}.yaml").read_text(encoding="utf-8")
    defaults = re.findall(r"^  - (\w+): (\w+)", primary, re.MULTILINE)
    keys = primary[primary.index("\n\n", primary.index("defaults:")) :].partition("\nhydra:")[0]
    lines = [
        about.replace(f"python {script.stem}.py", command(script.stem)),
        "",
        "GROUPS (group=option, * = default; each option is a commented file conf/GROUP/OPTION.yaml)",
        *(line for group, option in defaults for line in _describe(own, group, option)),
        "",
        f"KEYS (key=value; defaults and meanings, from conf/{script.stem}.yaml)",
        *(line for setting, meaning in _keys(keys) for line in _entry(setting, meaning)),
        "",
        FLAGS.format(group=defaults[0][0]),
        *([SWEEPS] if "\n  sweep:" in primary else []),
        "",
        EXITS,
    ]
    return "\n".join(lines)


def _describe(own: Path | None, group: str, default: str) -> Iterator[str]:
    """Yield lines for each option of a group, and for the keys that they bring: those of the default first."""
    folders = [folder / group for folder in (CONF, own) if folder]
    texts = {path: path.read_text(encoding="utf-8") for folder in folders for path in sorted(folder.glob("*.yaml"))}
    for path, text in texts.items():
        about = re.search(r"^# (?!@)(.*)", text, re.MULTILINE)
        yield from _entry(f"{group}={path.stem}{' *' * (path.stem == default)}", about[1] if about else f"{path}")
    told = set()
    for path in sorted(texts, key=lambda path: path.stem != default):
        owner = "" if path.stem == default or len(texts) == 1 else f"{path.stem}: "
        for setting, meaning in _keys(_section(texts[path], group)):
            key = setting.partition("=")[0]
            if key.rpartition(".")[0] in ("", path.stem) and key not in told | {"name", path.stem}:
                yield from _entry(f"  {group}.{setting}", owner + meaning if meaning else "")
            told.add(key)


def _section(text: str, group: str) -> str:
    """Return the lines that set a group's keys in the file of an option."""
    if "@package _global_" not in text:
        return text
    found = re.search(rf"^{group}:\n((?:  .*\n)+)", text, re.MULTILINE)
    return textwrap.dedent(found[1]) if found else ""


def _keys(text: str) -> Iterator[tuple[str, str]]:
    """Yield YAML's `key: value  # comment` lines as one types them: (`key=value`, comment), with dots for sections."""
    section = ""
    for found in filter(None, map(KEY.fullmatch, text.splitlines())):
        indent, key, value, comment = found.groups()
        if not indent:
            section = "" if value else f"{key}."
        if value or comment:
            setting = f"={value.replace(', ', ',')}" if value else ""
            yield f"{section if indent else ''}{key}{setting}", comment or ""


def _entry(name: str, meaning: str) -> list[str]:
    """Return the lines of one entry: its name, and beside it what it means."""
    start, further = f"  {name:24}  ", " " * 28
    return textwrap.wrap(meaning, WIDTH, initial_indent=start, subsequent_indent=further) or [start.rstrip()]
