"""CPython's tests that cannot run on a simulated loop: a pattern, and why."""

EXCLUDED: dict[str, str] = {
    "test_buffered_proto.*Proactor*": "another loop class, on Windows",
    "test_tasks.RunCoroutineThreadsafeTests.*": "threads",
    "test_tasks.*.test_log_destroyed_pending_task": "calls BaseEventLoop._run_once itself",
    "test_tasks.*.test_stop_while_run_in_complete": "the time that the test's own TestLoop shows after stop()",
    "test_tasks.*.test_issue46672": "mocks BaseEventLoop.call_exception_handler, which ours overrides",
    "test_runners.RunnerTests.test_interrupt_*": "a signal of the process",
    "test_streams.*.test_start_server": "a blocking client in a thread",
    "test_streams.*.test_start_tls": "a blocking client in a thread",
    "test_streams.*.test_start_unix_server": "a blocking client in a thread",
    "test_streams.*.test_drain_raises": "a blocking server in a thread",
    "test_streams.*.test_read_all_from_pipe_reader": "a pipe's file descriptor",
}
