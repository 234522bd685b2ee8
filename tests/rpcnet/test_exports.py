"""What `import rpcnet` gives: the names of its list, each loaded when it is asked for."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import rpcnet


def test_every_name_is_the_one_that_type_checkers_see() -> None:
    tree = ast.parse(Path(rpcnet.__file__).read_text())
    imports = [
        part for part in ast.walk(tree) if isinstance(part, ast.ImportFrom) and str(part.module)[:7] == "rpcnet."
    ]
    homes = {alias.name: str(part.module) for part in imports for alias in part.names}
    assert sorted(homes) == sorted(rpcnet.__all__)
    for name, home in homes.items():
        assert getattr(rpcnet, name) is getattr(import_module(home), name)


def test_a_name_that_does_not_exist_is_told() -> None:
    with pytest.raises(AttributeError, match="module 'rpcnet' has no attribute 'nothing'"):
        rpcnet.nothing  # noqa: B018
    assert {*rpcnet.__all__} <= {*dir(rpcnet)}


@pytest.mark.parametrize(
    ("first", "unused"),
    [
        ("rpcnet.RpcClient", {"rpcnet.server", "rpcnet.cluster", "cryptography"}),
        ("rpcnet.RpcServer", {"rpcnet.client", "rpcnet.cluster", "cryptography"}),
    ],
)
def test_who_uses_one_room_does_not_load_the_others(first: str, unused: set[str]) -> None:
    code = f"import rpcnet; {first}; rpcnet.service.__call__; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert first.removeprefix("rpcnet.Rpc").removeprefix("rpcnet.").lower() in done.stdout
    assert unused.isdisjoint(done.stdout.split())


def test_the_shell_loads_neither_a_server_nor_a_cluster_before_it_is_asked() -> None:
    code = "import rpcnet.cli, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = done.stdout.split()
    assert "rpcnet.client" in loaded and {"rpcnet.server", "rpcnet.cluster", "rpcnet.admin"}.isdisjoint(loaded)
