"""The `rpcnet-gen` command: a service class in, a module with its server and its client out.

`rpcnet-gen MODULE:Service [MODULE:Service …] [-o FILE] [--check]`. Exits with 0, with 1 where `--check` finds that the
file is not what would be written, and with 2 for usage and for classes that cannot be written; then with one line.

Tests: tests/rpcnet/codegen/test_command.py.
"""

import difflib
import shlex
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App as Command
from cyclopts import CycloptsError, Parameter

from rpcnet.app import AppError, add_working_directory, load_object
from rpcnet.codegen.module import CodegenError, generate

__all__ = ["main", "run"]

OK, STALE, USAGE_ERROR = 0, 1, 2

command = Command("rpcnet-gen", version=lambda: metadata.version("rpcnet"), help_format="plaintext")


@command.default
def write(
    services: Annotated[
        tuple[str, ...],
        Parameter(help="Classes marked with @service, as MODULE:Service.", negative="", consume_multiple=True),
    ],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="The file to write; standard output where left out.")
    ] = None,
    check: Annotated[
        bool, Parameter(help="Write nothing; exit with 1 where the file is not up to date.", negative="")
    ] = False,
) -> int:
    """Write the server and the client of service classes."""
    if check and output is None:
        raise CodegenError("--check needs the file that it is to check: add -o FILE")
    if not services:
        raise CodegenError("name a class: rpcnet-gen MODULE:Service [-o FILE] [--check]")
    add_working_directory()
    text = generate([_loaded(path) for path in services])
    if output is None:
        sys.stdout.write(text)
        return OK
    if not check:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CodegenError(f"{output} cannot be written: {error.strerror}") from None
        return OK
    return _checked(output, text, shlex.join(["rpcnet-gen", *services, "-o", str(output)]))


def _loaded(path: str) -> type:
    found = load_object(path, "service; write it as MODULE:Service", _is_service)
    if not isinstance(found, type):
        raise CodegenError(f"{path} is no class, but {type(found).__name__!r}")
    return found


def _is_service(value: Any) -> bool:
    return isinstance(value, type) and hasattr(value, "__rpcnet_service__")


def _checked(output: Path, text: str, again: str) -> int:
    try:
        before = output.read_text(encoding="utf-8")
    except FileNotFoundError:
        print(f"{output} does not exist; write it with: {again}")
        return STALE
    except (OSError, UnicodeDecodeError) as error:
        raise CodegenError(f"{output} cannot be read: {error}") from None
    if before == text:
        return OK
    changes = difflib.unified_diff(
        before.splitlines(keepends=True), text.splitlines(keepends=True), str(output), "as it would be written"
    )
    sys.stdout.writelines(changes)
    print(f"{output} is not up to date; write it anew with: {again}")
    return STALE


def run(tokens: Sequence[str]) -> int:
    """One command line → its exit code."""
    try:
        result = command(tokens, print_error=False, exit_on_error=False, result_action="return_value")
    except (AppError, CodegenError) as error:
        print(f"rpcnet-gen: {error}", file=sys.stderr)
        return USAGE_ERROR
    except CycloptsError as error:
        print(f"rpcnet-gen: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE_ERROR
    return result if isinstance(result, int) else OK


def main(tokens: Sequence[str] | None = None) -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:] if tokens is None else tokens))
