"""Everything about the project stands in pyproject.toml; here is what pip does not do for an editable install.

It compiles the modules of a package that it copies, and leaves those of a checkout to be compiled at their first
import, which where byte code may not be written (containers often set PYTHONDONTWRITEBYTECODE) is every start anew.
"""

from compileall import compile_dir

from setuptools import setup
from setuptools.command.editable_wheel import editable_wheel


class CompiledEditableWheel(editable_wheel):
    def run(self) -> None:
        super().run()
        for package in ("rpcnet", "sim"):
            compile_dir(package, quiet=2)


setup(cmdclass={"editable_wheel": CompiledEditableWheel})
