"""Fuzz what a peer may send, with atheris (libFuzzer for Python).

    python -m tests.fuzz TARGET [--seconds N] [--found DIRECTORY]

TARGET is parser, server, client, sealed or packet, or `all` of them one after the other, N seconds each. Starts from
tests/fuzz/corpus; keeps what reaches new branches in DIRECTORY, where one is given. Ends with exit code 0 where nothing
was found; otherwise prints what broke and writes the input to a file `crash-…`, which belongs into tests/fuzz/corpus
once it is mended.
"""

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["rpcnet"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
MOST_BYTES = 4096


def main() -> None:
    logging.getLogger("rpcnet").setLevel(logging.CRITICAL)  # a fuzzer breaks every rule, thousands of times a second
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("target", choices=[*TARGETS, "all"])
    options.add_argument("--seconds", type=int, default=600)
    options.add_argument("--seed", type=int, default=0, help="of the fuzzer's randomness; 0 = another one each time")
    options.add_argument("--found", type=Path, help="directory for inputs that reach new branches")
    given = options.parse_args()
    if given.target == "all":
        codes = [forked(target, given) for target in TARGETS]
        sys.exit(any(codes))
    fuzz(given.target, given)


def forked(target: str, given: argparse.Namespace) -> int:
    """The exit code of fuzzing it in a child: atheris never returns, and instrumenting takes longer than a run."""
    child = os.fork()
    if not child:
        fuzz(target, given)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fuzz(target: str, given: argparse.Namespace) -> NoReturn:
    seeds = [CORPUS / name for name in (target, "server", "client")]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        found = given.found / target if given.found else Path(folder)
        found.mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={given.seconds}", f"-max_len={MOST_BYTES}", "-timeout=20", "-rss_limit_mb=1024"]
        folders = [str(found), *dict.fromkeys(str(seed) for seed in seeds if seed.is_dir())]
        atheris.Setup([sys.argv[0], *limits, f"-seed={given.seed}", *folders], TARGETS[target])
        atheris.Fuzz()
    raise AssertionError("unreachable: atheris ends the process")


if __name__ == "__main__":
    main()
