"""The text of a module with the server and the client of service classes.

The class is the source: what `register_service` and `client.service` read of it is written out. The same classes give
the same bytes. Knows no file and no command line (codegen/command.py).

Tests: tests/rpcnet/codegen/test_module.py.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rpcnet.codegen.layout import WIDTH, Group, Item, docstring, laid_out
from rpcnet.codegen.names import Names, UnwritableType
from rpcnet.handler import ABSENT
from rpcnet.service import OPTIONS, Signature, method_names, service_name, service_signature
from rpcnet.wire.frame import BIDIRECTIONAL, CLIENT_STREAMING, SERVER_STREAMING, UNARY

__all__ = ["CodegenError", "generate"]

_LIBRARY: Final = "rpcnet.generated"
_TAKEN: Final = frozenset(("connect", "rpc_client"))
"""What a client has beside the methods of its service."""
_CALLS: Final = {
    UNARY: "call",
    CLIENT_STREAMING: "call_client_streaming",
    SERVER_STREAMING: "call_server_streaming",
    BIDIRECTIONAL: "call_streaming",
}


class CodegenError(Exception):
    """A class of which no server and client can be written; the text says why."""


@dataclass(frozen=True, slots=True)
class _Method:
    name: str
    full_name: str
    signature: Signature
    summary: str


@dataclass(frozen=True, slots=True)
class _Service:
    cls: type
    name: str
    methods: tuple[_Method, ...]


def generate(classes: Sequence[type]) -> str:
    """A module with `XServer` and `XClient` of each of these @service classes. CodegenError where there can be none."""
    services = [_read(cls) for cls in classes]
    made = sorted(f"{one.cls.__name__}{what}" for one in services for what in ("Client", "Server"))
    if len(set(made)) < len(made):
        raise CodegenError(f"two classes have the same name: {', '.join(one.cls.__name__ for one in services)}")
    taken = {"self", "answer", "handler", "rpc_client", "rpc_server", *made, *OPTIONS}
    for one in services:
        for method in one.methods:
            taken |= {method.name, *(parameter.name for parameter in method.signature.parameters)}
    names = Names(taken)
    try:
        bodies = [line for one in services for line in _Writer(one, names).classes()]
    except UnwritableType as error:
        raise CodegenError(str(error)) from None
    sources = " ".join(f"{one.cls.__module__}:{one.cls.__qualname__}" for one in services)
    whose = " and ".join(one.cls.__name__ for one in services)
    lines = [
        *docstring(f"Server and client of {whose}: written by `rpcnet-gen {sources}`, not by hand.", 0),
        "",
        "# isort: skip_file",
        "",
        *names.imports(),
        "",
        *laid_out(Group("__all__ = ", [f'"{name}"' for name in made], brackets="[]")),
        *(["", *aliases] if (aliases := names.aliases()) else []),
        *bodies,
    ]
    return "\n".join(lines) + "\n"


def _read(cls: type) -> _Service:
    try:
        prefix = service_name(cls)
        methods = tuple(
            _Method(name, f"{prefix}.{name}", service_signature(cls, name), _summary(cls, name))
            for name in method_names(cls)
        )
    except TypeError as error:
        raise CodegenError(str(error)) from None
    for method in methods:
        if method.name in _TAKEN:
            raise CodegenError(f"{cls.__name__}.{method.name} has a name that every client has; rename it")
        if any(one.name == "self" for one in method.signature.parameters):
            raise CodegenError(f"{cls.__name__}.{method.name} has a parameter 'self' beside its own; rename it")
    return _Service(cls, prefix, methods)


def _summary(cls: type, name: str) -> str:
    """The first paragraph of its docstring."""
    return (inspect.getdoc(inspect.getattr_static(cls, name)) or "").partition("\n\n")[0].strip()


class _Writer:
    """Writes the two classes of one service."""

    def __init__(self, service: _Service, names: Names) -> None:
        self.service = service
        self.names = names

    def imported(self, name: str) -> str:
        return self.names.imported(_LIBRARY, name)

    def classes(self) -> list[str]:
        return ["", "", *self.server(), "", "", *self.client()]

    def server(self) -> list[str]:
        cls = self.service.cls
        handler = self.names.text(cls)
        init: list[Item] = ["self", f"handler: {handler}", f"rpc_server: {self.imported('RpcServer')}"]
        registered = [
            line
            for method in self.service.methods
            for line in laid_out(
                Group("self.rpc_server.register_typed", [f'"{method.full_name}"', f"self.handler.{method.name}"]), 2
            )
        ]
        return [
            f"class {cls.__name__}Server:",
            *docstring(f"A {cls.__name__} and the server that serves it.", 1),
            "",
            *laid_out(Group("def __init__", init, " -> None:"), 1),
            "        self.handler = handler",
            "        self.rpc_server = rpc_server",
            "",
            "    def register_all(self) -> None:",
            *docstring("Register every method of the handler.", 2),
            *registered,
        ]

    def client(self) -> list[str]:
        cls = self.service.cls
        return [
            f"class {cls.__name__}Client({self.imported('ServiceClient')}):",
            *docstring(f"Calls a {cls.__name__}; each call takes its options by name.", 1),
            *(line for method in self.service.methods for line in self.method(method)),
        ]

    def method(self, method: _Method) -> list[str]:
        signature = method.signature
        shape = signature.shape
        plain, answer = self.answer(signature)
        returns = f"{self.imported('ClientStream')}[{answer}]" if shape & 2 else answer
        options = self.options(shape)
        head = f"{'' if shape & 2 else 'async '}def {method.name}"
        taken: list[Item] = ["self", *self.parameters(signature)]
        if not any(one.kind is one.KEYWORD_ONLY for one in signature.parameters):
            taken.append("*")
        taken += [f"{name}: {kind} = {default}" for name, kind, default in options]
        call = Group(
            f"self.rpc_client.{_CALLS[shape]}",
            [
                f'"{method.full_name}"',
                *self.handed_on(signature),
                f"response={plain or self.imported('answer_type') + f'({answer})'}",
                *(f"{name}={name}" for name, _, _ in options),
            ],
        )
        if shape & 2:
            body = laid_out(_headed("return ", call), 2)
        elif plain:
            body = laid_out(_headed("return await ", call), 2)
        elif answer == "None":
            body = laid_out(_headed("await ", call), 2)
        else:
            local = "answer"
            while any(one.name == local for one in signature.parameters):
                local += "_"
            body = [*laid_out(_headed(f"{local}: {answer} = await ", call), 2), f"        return {local}"]
        return [
            "",
            *laid_out(Group(head, taken, f" -> {returns}:"), 1),
            *(docstring(method.summary, 2) if method.summary else ()),
            *body,
        ]

    def answer(self, signature: Signature) -> tuple[str, str]:
        """A type of answers as a class to call with, or nothing where checkers see no class in it; and as text."""
        kind = signature.response
        text = self.names.fitting(kind, WIDTH - len("        answer:  = await self.rpc_client.call_client_streaming("))
        is_class = isinstance(kind, type) and kind is not type(None) and not hasattr(kind, "__total__")
        return (text if is_class and not getattr(kind, "__args__", None) else ""), text

    def options(self, shape: int) -> list[tuple[str, str, str]]:
        """Name, type and default of what each call takes beside its arguments."""
        seconds, default = self.imported("Seconds"), self.imported("DEFAULT")
        others = [
            ("metadata", f"{self.imported('Metadata')} | None", "None"),
            ("wait_for_ready", "bool", "False"),
        ]
        if shape == UNARY:
            return [("timeout", seconds, default), *others]
        return [("timeout", seconds, "None"), ("idle_timeout", seconds, default), *others]

    def parameters(self, signature: Signature) -> list[str]:
        written: list[str] = []
        for position, one in enumerate(signature.parameters):
            if one.kind is one.KEYWORD_ONLY and "*" not in written:
                written.append("*")
            written.append(f"{one.name}: {self.parameter(signature, position)}")
            if one.kind is one.POSITIONAL_ONLY:
                written.append("/")
        return written

    def parameter(self, signature: Signature, position: int) -> str:
        """Type and default."""
        one = signature.parameters[position]
        room = WIDTH - len(f"        {one.name}: ,")
        if one.name == signature.stream or (signature.shape & 1 and len(signature.parameters) == 1):
            items = self.imported("ItemsOf")
            behind = signature.parameters[position + 1 :]
            may_write = signature.shape == BIDIRECTIONAL
            tail = " | None" if may_write else ""
            if may_write and (
                one.kind is one.KEYWORD_ONLY
                or not any(other.default is ABSENT and other.kind is not other.KEYWORD_ONLY for other in behind)
            ):
                tail += " = None"
            return f"{items}[{self.names.fitting(signature.request, room - len(items) - 2 - len(tail))}]{tail}"
        kind: Any = None if one.annotation is type(None) else one.annotation
        if one.default is ABSENT:
            return self.names.fitting(kind, room)
        absent, default = self.imported("Absent"), self.imported("ABSENT")
        text = self.names.fitting(kind, room - len(f" | {absent} = {default}"))
        most = text.removesuffix(" | None")
        return f"{most} | {absent}{text[len(most) :]} = {default}"

    def handed_on(self, signature: Signature) -> list[Item]:
        """What the call is given beside the name of the method: a request, or items and maybe arguments."""
        if signature.takes_map:
            return [self.arguments(signature, "")]
        if not signature.arguments:
            return [signature.parameters[0].name]
        return [signature.stream, self.arguments(signature, "arguments=")]

    def arguments(self, signature: Signature, head: str) -> Item:
        needed: list[Item] = [f'"{one.name}": {one.name}' for one in signature.arguments if one.default is ABSENT]
        optional = [f"{one.name}={one.name}" for one in signature.arguments if one.default is not ABSENT]
        if optional and not needed:
            return Group(f"{head}{self.imported('given')}", optional)
        if optional:
            needed.append(Group(f"**{self.imported('given')}", optional))
        return Group(head, needed, brackets="{}")


def _headed(head: str, group: Group) -> Group:
    return Group(head + group.head, group.items, group.tail, group.brackets)
