"""The tests that one worker runs together: those of a file, and those of the files that share a server."""

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# Each worker that needs one of these servers starts it, which takes as long as many tests.
_SHARED_STACK = ("logs", "metrics", "overload", "problems", "processes", "requests")
_SHARED_RUN = ("developing", "generated_clients", "integrating", "readme", "run")
_SHARED_PAGE = ("accessibility", "portfolio", "problems", "token")
SERVERS = {
    **{f"tests/system/test_stack_{name}.py": "stack" for name in _SHARED_STACK},
    **{f"tests/system/test_{name}.py": "run" for name in _SHARED_RUN},
    # They share a service, a browser and a tab.
    **{f"tests/system/page/test_{name}.py": "page" for name in _SHARED_PAGE},
}


class ServerScheduling(LoadFileScheduling):  # type: ignore[misc]
    """Like --dist loadfile, except that the files that share a server go to one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return SERVERS.get(file, file)
