"""Swaps functions of the process and finds who has captured one of them, or a generator of random numbers, before.

`from time import monotonic` is a name of a module; `clock=time.time` a default argument, `default_factory=time.time` of
a dataclass a variable of a closure, `clock = time.monotonic` an attribute of a class. All get the replacement, found by
who refers to the function: once a process, and only of functions that have more references than we know of. Not found
is what C keeps to itself: the default factories of msgspec and pydantic. Keeps a ledger, so that `undo` puts all back.
Knows no simulation and no node. Tests: tests/sim/kernel/patches/test_rebind.py, test_renew.py, test_undo.py.
"""

import functools
import gc
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

__all__ = ["default_arguments", "instead", "look_out", "on_undo", "put", "rebind", "renew", "replace", "undo"]

Swaps = dict[int, tuple[Any, Any]]
"""What has been replaced, by identity, and by what."""
_WRAPPED = "__wrapped__"  # functools.wraps: what stands for a function says so itself

_ABSTRACT: Any = vars(type)["__abstractmethods__"]

_replaced: Swaps = {}
"""Until `rebind`; then in …"""
_rebound: Swaps = {}
_undoing: "list[_Step | Callable[[], object]]" = []
"""What puts back each thing that was set, in the order in which they were."""
_ABSENT = object()
_kinds: list[type] = []
_heed: Callable[[list[Any]], object] = bool


class _Unbound(functools.partial[Any]):
    """Stands for a function of C's: as an attribute of a class it is not bound to who asks, and is pickled by name."""

    def __get__(self, instance: object, owner: type | None = None) -> Self:
        return self  # functools.partial itself binds from Python 3.14 on

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"  # type: ignore[attr-defined]

    def __reduce__(self) -> Any:
        return self.__name__  # type: ignore[attr-defined]


def replace(module: types.ModuleType, name: str, function: Callable[..., Any]) -> None:
    """Put a function in the place of a module's own."""
    original = getattr(module, name)
    stands = function if isinstance(original, types.FunctionType) else _Unbound(function)
    function = functools.update_wrapper(stands, original)
    instead(original, function)
    put(module, name, function)


def put(owner: Any, name: str, value: Any) -> None:
    """Set an attribute of a module, class or function; `undo` puts back what stood there."""
    before = _standing(owner, name)
    _set(owner, name, value)
    _undoing.append(_Step(owner, name, before, value))


def _standing(owner: Any, name: str) -> Any:
    # A function's `__module__` is none of its variables.
    return vars(owner).get(name, _ABSENT) if isinstance(owner, type | types.ModuleType) else getattr(owner, name)


class _Step:
    """Puts back what stood there. It has slots so that `rebind`, which looks into variables, leaves it alone."""

    __slots__ = ("before", "name", "owner", "value")

    def __init__(self, owner: Any, name: str, before: Any, value: Any) -> None:
        self.owner, self.name, self.before, self.value = owner, name, before, value

    def __call__(self) -> None:
        _set(self.owner, self.name, self.before)


def on_undo(step: Callable[[], object]) -> None:
    """Have `undo` call that, before all that was asked for earlier."""
    _undoing.append(step)


def _set(owner: Any, name: str, value: Any) -> None:
    try:
        if value is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)
    except TypeError:
        # A class of C refuses; its dictionary does not. What was there before never is absent there.
        (dictionary,) = (found for found in gc.get_referents(owner.__dict__) if isinstance(found, dict))
        dictionary[name] = value
        type_modified(owner)


def instead(original: Any, function: Any) -> None:
    """Have `rebind` replace every captured reference to `original` by `function`."""
    _replaced[id(original)] = (original, function)


def look_out(kinds: Iterable[type], heed: Callable[[list[Any]], object]) -> None:
    """Have `rebind` call `heed` with all objects that refer to one of these classes: instances, methods and others.

    It is called before anything is rebound; what it replaces by `instead` is rebound as well.
    """
    global _heed
    _kinds.extend(kinds)
    _heed = heed


def rebind() -> None:
    """Give whoever captured what has been replaced the replacement."""
    if _replaced:
        _exchange(_taken(), _kinds, _heed)


def renew() -> None:
    """Put again what somebody has put back since who had swapped it before we did, as a test's fixture does at its end.

    Where another one stands there now, it is asked; what it calls in the end is ours, where its variables show that.
    """
    first: dict[tuple[int, str], _Step] = {}
    last: dict[tuple[int, str], _Step] = {}
    for step in _undoing:
        if isinstance(step, _Step):
            last[id(step.owner), step.name] = step
            first.setdefault((id(step.owner), step.name), step)
    for key, step in last.items():
        stands = _standing(step.owner, step.name)
        if stands is step.value or (original := _original(stands, step)) is None:
            continue
        instead(original, step.value)
        for cell in _own_cells([step.value]).values():
            if cell.cell_contents is first[key].before:
                cell.cell_contents = original  # what stood there then is over
        first[key].before = original
        if stands is original:
            _set(step.owner, step.name, step.value)
    if _replaced:
        _exchange(_taken(), (), bool)


def _original(stands: Any, step: _Step) -> Any:
    """The standard library's own function that stands there, or that one of somebody else's there calls.

    None = there is none, or it calls ours.
    """
    called = [stands, *(cell.cell_contents for cell in _own_cells([stands]).values())]
    if any(each is step.value for each in called):
        return None
    return next((each for each in called if _is_of_the_library(each, step.name)), None)


def _is_of_the_library(function: Any, name: str) -> bool:
    if getattr(function, "__name__", None) != name:
        return False
    if not isinstance(function, types.FunctionType):
        return isinstance(function, types.BuiltinFunctionType | types.MethodDescriptorType)
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    return function.__module__.partition(".")[0] in sys.stdlib_module_names and function.__code__.co_filename == file


def undo() -> None:
    """Put everything back as it was, also where the replacements have been captured since."""
    global _heed
    given = {id(function): (function, original) for original, function in _rebound.values()}
    _rebound.clear()
    _kinds.clear()
    _heed = bool
    while _undoing:
        _undoing.pop()()
    if given:
        _exchange(given, (), bool)


def _exchange(swaps: Swaps, kinds: Iterable[type], heed: Callable[[list[Any]], object]) -> None:
    """Everywhere in this process. `heed` is told what refers to one of those classes."""
    # Most have it under its own name: what is left to search for by who refers to it is little, and takes a while.
    wanted = {original.__name__ for original, _ in swaps.values()}
    for module in list(sys.modules.values()):
        if isinstance(module, types.ModuleType):
            names = vars(module)
            for name in names.keys() & wanted:
                names[name] = _swapped(names[name], swaps)
            if gc.get_freeze_count():  # hidden from that search
                _swap_values(names, swaps)
    own = _own_cells(function for _, function in swaps.values())
    swaps = _referred_to(swaps, own)
    # One search for all: it looks at every object that there is.
    holders = _holders(swaps, kinds)
    heed(holders)
    # What cannot be changed is made anew, and swapped itself: the tuple of a function's defaults, a staticmethod.
    anew = _swap_in(holders, swaps, own) | _taken()
    del holders
    if anew:
        _swap_in(_holders(anew), anew, own)
    type_modified(object)


def _taken() -> Swaps:
    global _replaced
    taken, _replaced = _replaced, {}
    _rebound.update(taken)
    return taken


def type_modified(kind: type) -> None:
    """Have Python forget what it has looked up in a class and those below, as it does where an attribute is set.

    Setting this one, which classes of C do not refuse, has no other effect: PyType_Modified would need ctypes, whose
    import takes longer than all of this.
    """
    _ABSTRACT.__set__(kind, ())
    _ABSTRACT.__delete__(kind)


def _referred_to(swaps: Swaps, own: Mapping[int, types.CellType]) -> Swaps:
    """Those that are captured somewhere, by their reference counts. To find out where takes 0.1 ms for each."""
    ours = Counter(id(cell.cell_contents) for cell in own.values())
    for _, function in swaps.values():
        for one in {id(each): each for each in (function, getattr(function, "func", function))}.values():
            ours[id(getattr(one, _WRAPPED, None))] += 1
    ours.update(id(step.before) for step in _undoing if isinstance(step, _Step))
    pair = (object(), None)
    least = sys.getrefcount(pair[0])
    return {key: pair for key, pair in swaps.items() if sys.getrefcount(pair[0]) > least + ours[key]}


def _holders(swaps: Swaps, kinds: Iterable[type] = ()) -> list[Any]:
    """What refers to the originals, or to those classes."""
    searched = tuple(original for original, _ in swaps.values()), tuple(kinds)
    looked_for = (*searched[0], *searched[1])
    found = gc.get_referrers(*looked_for) if looked_for else []
    ours = {id(each) for each in (*searched, looked_for, *swaps.values())}
    return [holder for holder in found if id(holder) not in ours]


def _swap_in(holders: Iterable[Any], swaps: Swaps, own: Mapping[int, types.CellType]) -> Swaps:
    """In all these; returns what has to be made anew for that."""
    anew: Swaps = {}
    for holder in holders:
        if id(holder) in own:
            continue
        if isinstance(holder, dict):
            _swap_values(holder, swaps)
        elif isinstance(holder, list):
            if _any_of(holder, swaps):
                holder[:] = [_swapped(value, swaps) for value in holder]
        elif isinstance(holder, types.CellType):
            holder.cell_contents = _swapped(holder.cell_contents, swaps)
        elif isinstance(holder, types.FunctionType):
            holder.__defaults__ = _swapped(holder.__defaults__, swaps)
        elif type(holder) is functools.partial:
            partial: Any = holder
            # Its arguments are a tuple, made anew in the first round; its keywords a dict, which is its own.
            swapped = (_swapped(holder.func, swaps), _swapped(holder.args, swaps))
            partial.__setstate__((*swapped, holder.keywords, vars(holder)))
        elif type(holder) is tuple:
            if _any_of(holder, swaps):
                anew[id(holder)] = holder, tuple(_swapped(value, swaps) for value in holder)
        elif type(holder) is staticmethod:
            if _any_of((holder.__func__,), swaps):
                anew[id(holder)] = holder, staticmethod(_swapped(holder.__func__, swaps))
        elif type(names := _attributes(holder)) is dict:
            _swap_values(names, swaps)
    return anew


def _swapped(value: Any, swaps: Swaps) -> Any:
    found = swaps.get(id(value))
    return found[1] if found is not None and found[0] is value else value


def _any_of(values: Iterable[Any], swaps: Swaps) -> bool:
    return not swaps.keys().isdisjoint(map(id, values))


def _swap_values(names: dict[Any, Any], swaps: Swaps) -> None:
    if not _any_of(list(names.values()), swaps):
        return
    for name, value in list(names.items()):
        found = swaps.get(id(value))
        if found is not None and found[0] is value and name != _WRAPPED:
            names[name] = found[1]


def _attributes(holder: Any) -> Any:
    """The `__dict__` of an instance; a class may answer otherwise for it."""
    try:
        return object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return None


def _own_cells(functions: Iterable[Any]) -> dict[int, types.CellType]:
    """The variables in which replacements keep the original, by identity."""
    found: dict[int, types.CellType] = {}
    left = list(functions)
    while left:
        one = left.pop()
        for cell in getattr(getattr(one, "func", one), "__closure__", None) or ():
            if id(cell) not in found:
                found[id(cell)] = cell
                left.append(cell.cell_contents)
    return found


def default_arguments(values: Iterable[Any]) -> Iterator[Any]:
    """Those that are default arguments of a function."""
    wanted = {id(value): value for value in values}
    kept = [one for one in gc.get_referrers(*wanted.values()) if type(one) in (dict, tuple)] if wanted else []
    for function in gc.get_referrers(*kept) if kept else ():
        if isinstance(function, types.FunctionType):
            for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
                if id(value) in wanted:
                    yield value
