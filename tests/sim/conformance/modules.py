"""The modules of CPython's `test.test_asyncio` that run here. Left out whole, and why:

test_base_events, test_selector_events, test_proactor_events, test_unix_events, test_windows_*: other loop classes, over
mock selectors. test_sslproto: mock transports. test_ssl, test_server, test_sendfile: blocking peers in threads.
test_threads: threads. test_subprocess: subprocesses. test_pep492 and the like have their own exclusions.
"""

# fmt: off
MODULES = [
    "test_locks", "test_queues", "test_taskgroups", "test_timeouts", "test_waitfor", "test_futures", "test_futures2",
    "test_protocols", "test_transports", "test_pep492", "test_runners", "test_context", "test_streams", "test_tasks",
    "test_buffered_proto", "test_events", "test_sock_lowlevel",
]
# fmt: on
