"""A SQLite without the WAL-reset bug, for a second round of the attacks on the log.

    LD_LIBRARY_PATH=$(python -m tests.chaos.fixed_sqlite build/sqlite) python -m pytest tests/chaos/test_wal_reset.py

Takes SQLite's own source file as the npm package better-sqlite3 carries it, and compiles it as libsqlite3.so.0, which
a Python takes whose sqlite3 module is linked to the system's library. Says why where that can't be done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

__all__ = ["fixed_sqlite"]

#: Carries SQLite 3.53.2.
_PACKAGE: Final = "better-sqlite3@12.11.1"
_OPTIONS: Final = ("-O1", "-shared", "-fPIC", "-DSQLITE_THREADSAFE=1", "-DSQLITE_ENABLE_COLUMN_METADATA")
_VERSION: Final = "import sqlite3; print(sqlite3.sqlite_version)"


def fixed_sqlite(folder: Path) -> str:
    """Have the library in *folder*; the version that a Python gets with it.

    Raises:
        OSError, subprocess.CalledProcessError: No npm, no network, no C compiler.
    """
    library = folder / "libsqlite3.so.0"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "pack", "--silent", _PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (package,) = folder.glob("better-sqlite3-*.tgz")
        with tarfile.open(package) as archive:
            for name in ("sqlite3.c", "sqlite3.h"):
                found = archive.extractfile(f"package/deps/sqlite3/{name}")
                assert found is not None
                (folder / name).write_bytes(found.read())
        made = folder / "made.so"
        named = "-Wl,-soname,libsqlite3.so.0"
        compiler = ["cc", *_OPTIONS, "-o", str(made), str(folder / "sqlite3.c"), named, "-lm", "-ldl", "-lpthread"]
        subprocess.run(compiler, check=True)
        made.replace(library)
    seen = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", _VERSION], env=seen, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    try:
        print(f"SQLite {fixed_sqlite(Path(sys.argv[1]))}", file=sys.stderr)
        print(Path(sys.argv[1]).absolute())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no second SQLite: {error}", file=sys.stderr)
        sys.exit(1)
