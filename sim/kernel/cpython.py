"""Private names of CPython that the simulator uses: all of them, with where they are and since which version.

The simulator runs asyncio's own loop and transports (docs/decisions/004-asyncio-transports.md), and these are what it
overrides or reads of them. On a Python that it was not tried on, the first simulation says so once and names those that
are missing. Knows no other module of ours. Tests: tests/sim/kernel/test_cpython.py looks for each name in the Python
that runs it, and for names in the source of `sim` that are not in these tables.
"""

import inspect
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any

__all__ = [
    "FRAME_LOCALS",
    "IS_TRIED",
    "PRIVATE_NAMES",
    "TASK_STEPS",
    "TASK_STEP_TYPE",
    "TRIED",
    "missing",
    "warn_if_untried",
]

TRIED = ((3, 11), (3, 12), (3, 13))
"""Versions of Python on which the tests run."""
IS_TRIED = sys.version_info[:2] in TRIED

PRIVATE_NAMES: dict[str, str] = {
    # The loop: sim.kernel.loop.loop, run, connections.
    "asyncio.base_events:BaseEventLoop": (
        "_asyncgen_finalizer_hook _asyncgen_firstiter_hook _asyncgens _asyncgens_shutdown_called _check_callback "
        "_check_closed _check_running _check_thread _clock_resolution _closed _coroutine_origin_tracking_enabled "
        "_coroutine_origin_tracking_saved_depth _create_connection_transport _create_server_getaddrinfo "
        "_current_handle _debug _default_executor _exception_handler _executor_shutdown_called _internal_fds _ready "
        "_scheduled _set_coroutine_origin_tracking _sock_sendfile_fallback _sock_sendfile_native _stopping "
        "_task_factory _thread_id _timer_cancelled_count _timer_handle_cancelled _old_agen_hooks>=3.13"
    ),
    "asyncio.base_events:Server": "_start_serving",
    "asyncio.selector_events:BaseSelectorEventLoop": (
        "_accept_connection _add_reader _add_writer _close_self_pipe _make_datagram_transport _make_self_pipe "
        "_make_socket_transport _make_ssl_transport _process_events _remove_reader _remove_writer _selector "
        "_sock_connect_cb _ssock _transports _write_to_self"
    ),
    "asyncio.unix_events": "_UnixSelectorEventLoop",
    "asyncio.coroutines": "_is_debug_mode",
    "asyncio.events": "_get_running_loop _set_running_loop",
    # Handles, futures, tasks: sim.kernel.loop.handles, run, sim.kernel.teardown, waiting.
    "asyncio.events:Handle": "_args _callback _cancelled _context _loop _repr _source_traceback",
    "asyncio.events:TimerHandle": "_scheduled _when",
    "asyncio:Task": "_callbacks _fut_waiter _log_destroy_pending _source_traceback",
    "asyncio.tasks": "_GatheringFuture _PyTask _unregister_task _wait",
    "asyncio.tasks:_GatheringFuture": "_children",
    "asyncio:TaskGroup": "_tasks",
    "asyncio.futures": "_convert_future_exc _set_result_unless_cancelled",
    "asyncio.format_helpers": "_format_callback_source",
    # Transports: sim.kernel.loop.transports, sim.backends.loop, wires.
    "asyncio.selector_events": "_SelectorDatagramTransport _SelectorSocketTransport",
    "asyncio.selector_events:_SelectorTransport": (
        "_call_connection_lost "
        "_buffer _closing _conn_lost _extra _fatal_error _loop _paused _protocol _protocol_connected _server _sock "
        "_sock_fd"
    ),
    "asyncio.selector_events:_SelectorSocketTransport": (
        "_empty_waiter _eof _read_ready _read_ready__on_eof _read_ready_cb _start_tls_compatible _write_ready"
    ),
    "asyncio.selector_events:_SelectorDatagramTransport": "_address _buffer_size _read_ready",
    "asyncio.protocols": "_feed_data_to_buffered_proto",
    "asyncio.sslproto:SSLProtocol": "_app_transport _force_close _on_handshake_complete _outgoing",
    "asyncio.sslproto:_SSLProtocolTransport": "_closed _ssl_protocol",
    # The rest of the standard library: sim.kernel.patches, sim.kernel.leaks.
    "_socket": "socket",
    "_thread": "start_new_thread",
    "_thread:RLock": "_acquire_restore _at_fork_reinit _is_owned _release_save",
    "_thread:LockType": "_at_fork_reinit",
    "_queue": "SimpleQueue",
    "_blake2": "blake2b",
    "concurrent.futures.thread:ThreadPoolExecutor": (
        "_initargs _initializer _max_workers _shutdown _thread_name_prefix _work_queue"
    ),
    "concurrent.futures.process:ProcessPoolExecutor": "_initargs _initializer _max_workers _shutdown_thread",
    "queue": "_PySimpleQueue",
    "threading": "_PyRLock _allocate_lock _register_atexit",
    "threading:Thread": "_initialized",
    "random": "_urandom",
    "ssl:SSLContext": "_wrap_bio _wrap_socket",
    "ssl:SSLSocket": "_create",
    "socket:socket": (
        "_check_sendfile_params _closed _decref_socketios _io_refs _real_close "
        "_sendfile_use_send _sendfile_use_sendfile"
    ),
    "tempfile": "_RandomNameSequence",
    "warnings": "_warn_unawaited_coroutine",
    "sys": "_current_frames _getframe _getframemodulename>=3.12",
}
"""By module, or module:class. `>=3.12`: since that version. Of a private module its public names are private, too."""

FRAME_LOCALS: dict[str, str] = {
    "asyncio.tasks:sleep": "h",
    "asyncio.tasks:_wait": "fs",
    "asyncio.tasks:wait_for": "fut",
    "asyncio.selector_events:BaseSelectorEventLoop.sock_recv": "sock",
}
"""Local variables of asyncio's coroutines that sim.kernel.waiting reads, to say what a task waits for."""

TASK_STEP_TYPE = "TaskStepMethWrapper"
"""Type of the callback that begins a task of asyncio's C code, or goes on with it after `sleep(0)`; it has no name."""
TASK_STEPS = frozenset({"task_wakeup", "__step", "__wakeup"})
"""Names of a task's methods that are its steps: in the C code after it has waited, in the Python code both.

These and the type are in no module: tests/sim/kernel/interleaving/test_steps.py looks whether tasks have them.
"""


def missing() -> Iterator[str]:
    """Those that this Python does not have."""
    for tables, names_of in ((PRIVATE_NAMES, _names), (FRAME_LOCALS, _locals)):
        for place, names in tables.items():
            owner = _found(place)
            there = names_of(owner) if owner is not None else frozenset()
            for entry in names.split():
                name, _, since = entry.partition(">=")
                wanted = not since or sys.version_info >= tuple(int(part) for part in since.split("."))
                if wanted and name not in there:
                    yield f"{place.replace(':', '.')}.{name}"


def warn_if_untried() -> None:
    """Say so once, where this version of Python is none of those that the tests run on."""
    version = sys.version_info[:2]
    if version in TRIED:
        return
    gone = sorted(missing())
    consequence = (
        f"it has no longer what the simulator uses of it: {', '.join(gone)}" if gone else "what it uses of it is there"
    )
    tried = ", ".join(f"{major}.{minor}" for major, minor in TRIED)
    warnings.warn(
        f"sim was not tried on Python {version[0]}.{version[1]}, only on {tried}; {consequence}",
        RuntimeWarning,
        stacklevel=2,
    )


def _found(place: str) -> Any:
    module, _, inner = place.partition(":")
    try:
        found: Any = import_module(module)
        for name in inner.split(".") if inner else ():
            found = getattr(found, name)
    except (ImportError, AttributeError):
        return None
    return found


def _names(owner: Any) -> frozenset[str]:
    """Attributes of a module or class, and those that the functions of a class set or ask for."""
    if not isinstance(owner, type):
        return frozenset(vars(owner))
    names: set[str] = set()
    for kind in owner.__mro__:
        names.update(vars(kind))
        for value in vars(kind).values():
            function = inspect.unwrap(getattr(value, "__func__", None) or getattr(value, "fget", None) or value)
            if isinstance(function, FunctionType):
                names.update(*(code.co_names for code in _codes(function.__code__)))
    return frozenset(names)


def _locals(function: Any) -> frozenset[str]:
    return frozenset(inspect.unwrap(function).__code__.co_varnames + inspect.unwrap(function).__code__.co_cellvars)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
