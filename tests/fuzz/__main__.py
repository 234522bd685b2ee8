"""Fuzz what a peer may send, with atheris (libFuzzer for Python).

    python -m tests.fuzz TARGET [--seconds N] [--found DIRECTORY]

TARGET is parser, server, client, sealed or packet. Starts from tests/fuzz/corpus; keeps what reaches new branches in
DIRECTORY, where one is given. Ends with exit code 0 where nothing was found; otherwise prints what broke and writes the
input to a file `crash-…`, which belongs into tests/fuzz/corpus once it is mended.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rpcnet"]):
    from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
MOST_BYTES = 4096


def main() -> None:
    logging.getLogger("rpcnet").setLevel(logging.CRITICAL)  # a fuzzer breaks every rule, thousands of times a second
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("target", choices=TARGETS)
    options.add_argument("--seconds", type=int, default=600)
    options.add_argument("--seed", type=int, default=0, help="of the fuzzer's randomness; 0 = another one each time")
    options.add_argument("--found", type=Path, help="directory for inputs that reach new branches")
    given = options.parse_args()
    seeds = [CORPUS / name for name in (given.target, "server", "client")]
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        found = given.found or Path(folder)
        found.mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={given.seconds}", f"-max_len={MOST_BYTES}", "-timeout=20", "-rss_limit_mb=1024"]
        folders = [str(found), *dict.fromkeys(str(seed) for seed in seeds if seed.is_dir())]
        atheris.Setup([sys.argv[0], *limits, f"-seed={given.seed}", *folders], TARGETS[given.target])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
