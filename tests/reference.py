"""The reference of the Python interface, docs/python.md, made from signatures and docstrings.

python -m tests.reference > docs/python.md
"""

import inspect
import re
import sys
from collections.abc import Iterator
from functools import cached_property
from textwrap import dedent
from typing import Any

import fer
from fer.data import table
from fer.errors import RunError, UserError

TOLD = {  # by the module from which they are imported
    "fer": {name: getattr(fer, name) for name in fer.__all__ if name != "__version__"},
    "fer.data.table": {"Table": table.Table, "Split": table.Split},
    "fer.errors": {"UserError": UserError, "RunError": RunError},
}
HEAD = """# The Python interface

What `import fer` gives: what goes in, what comes out, and what is raised. [The tutorial](tutorial.ipynb) shows it at
work. This page is made from the docstrings by `python -m tests.reference > docs/python.md`: change those, not this. The
examples run as tests.
"""
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Warns|Examples):$", re.MULTILINE)
ITEM = re.compile(r"(\w[\w, ]*): ")  # not what is indented: that goes on
WIDTH = 100  # letters of a signature on one line


def page() -> str:
    """Return docs/python.md."""
    things = [(module, name, thing) for module, names in TOLD.items() for name, thing in names.items()]
    links = " ·\n".join(f"[{name}](#{name.lower()})" for _, name, _ in things)
    return "\n".join([HEAD, links, *(line for thing in things for line in described(*thing))]) + "\n"


def described(module: str, name: str, thing: Any) -> Iterator[str]:
    """Yield the lines about a function, or about a class and its public members."""
    yield from ("", f"## {name}")
    signature = "" if inspect.isclass(thing) else f"\n\n{signed(name, thing)}"
    yield from code("python", f"from {module} import {name}{signature}")
    yield from told(thing)
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        is_property = isinstance(value, property | cached_property)
        if member.startswith("_") or not (is_property or inspect.isroutine(value)):
            continue
        yield from ("", f"### {name}.{member}")
        if is_property:
            function = value.fget if isinstance(value, property) else value.func
            yield from code("python", signed(member, function).replace("() ->", ":"))
        else:
            yield from code("python", signed(f"{name}.{member}", getattr(thing, member)))
        yield from told(value)


def signed(name: str, function: Any) -> str:
    """Return a function's name, arguments and result, without the modules of their types."""
    signature = inspect.signature(function)
    arguments = [value for key, value in signature.parameters.items() if key != "self"]
    line = readable(f"{name}{signature.replace(parameters=arguments)}")
    if len(line) <= WIDTH:
        return line
    named_only = [value.name for value in arguments if value.kind is value.KEYWORD_ONLY][:1]
    lines = [line for value in arguments for line in [*["*,"] * (value.name in named_only), f"{value},"]]
    result = str(signature.replace(parameters=[])).removeprefix("()")
    return readable("\n    ".join([f"{name}(", *lines]) + f"\n){result}")


def readable(signature: str) -> str:
    """Return a signature without quotes and modules of types."""
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)
    return re.sub(r"\b(collections\.abc|typing|os|pathlib(\._local)?|fer(\.\w+)+)\.(?=[A-Z])", "", signature)


def code(language: str, text: str) -> list[str]:
    """Return a block of code."""
    return ["", f"```{language}", text, "```"]


def told(thing: Any) -> Iterator[str]:
    """Yield a docstring: its text, its sections as lists, its examples as code."""
    text, *sections = re.split(SECTION, inspect.getdoc(thing) or "")
    yield from ("", escaped(text.strip()))
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        body = dedent(body.strip("\n")).rstrip()
        if title == "Examples":
            yield from code("pycon", body)
        elif title == "Returns":
            yield from ("", f"**Returns** {escaped(body)}")
        else:
            yield from ("", f"**{title}**", "", *listed(escaped(body)))


def listed(body: str) -> Iterator[str]:
    """Yield the items of a section as a list."""
    for line in body.splitlines():
        names = re.match(ITEM, line)
        yield f"  {line.strip()}" if names is None else f"- `{names[1]}`: {line[names.end() :]}"


def escaped(text: str) -> str:
    """Return text in which Markdown takes no star for its own; but for code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("*", r"\*") for part in parts)


if __name__ == "__main__":
    sys.stdout.write(page())
