"""Uses the packages of an installed server: run by `installation` with the Python of a clean environment.

    python -P server_scenario.py

It uses nothing of this project but `afterimage_server`. Its working directory is the place for what it writes.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import io
import pkgutil
import sys
from importlib.metadata import distribution
from pathlib import Path

import afterimage_server
import numpy as np

_TREE = ("service", "index", "afterimage")  # packages of a checkout, which an installation does not need
_PARQUET = "afterimage_server.service.cli.collections.tables.parquet"
_POSTGRESQL = "afterimage_server.index.records.postgresql"
_NOT_IMPORTED = ("__main__", ".tracing.export")  # the latter needs an extra that the settings ask for
_NEEDS_PYTORCH = (
    "afterimage_server.service.encoder.builtin.train",
    "afterimage_server.service.detector.builtin.train",
)


def main() -> None:
    """Raises, or exits with a message, where something does not work."""
    _own_no_other_package()
    count = _import_all()
    _build_an_ann_index()
    _read_a_feed()
    _train()
    _use_the_library()
    foreign = sorted(name for name in sys.modules if name.partition(".")[0] in _TREE)
    if foreign:
        raise SystemExit(f"the installation imports packages of a checkout: {', '.join(foreign[:5])}")
    print(f"{count} modules, index, feed and training work")


def _own_no_other_package() -> None:
    files = distribution("afterimage-server").files or []
    tops = {file.parts[0] for file in files} - {".."}  # the command
    if not all(top == "afterimage_server" or top.endswith(".dist-info") for top in tops):
        raise SystemExit(f"the distribution installs {', '.join(sorted(tops))}")


def _import_all() -> int:
    names = [m.name for m in pkgutil.walk_packages(afterimage_server.__path__, "afterimage_server.")]
    wanted = [name for name in names if not name.startswith(_NEEDS_PYTORCH) and not name.endswith(_NOT_IMPORTED)]
    for name in wanted:
        if name != _PARQUET and not name.startswith(f"{_POSTGRESQL}."):
            importlib.import_module(name)
    _needs_an_extra(_PARQUET, "afterimage-server[parquet]")
    _postgresql_is_an_extra()
    return len(wanted)


def _postgresql_is_an_extra() -> None:
    """Only `store_url` imports the modules of PostgreSQL, after a check that names the extra."""
    from afterimage_server.service.settings.checks import check_settings
    from afterimage_server.service.settings.model import Settings

    if importlib.util.find_spec("psycopg") is not None:
        raise SystemExit("psycopg is installed without afterimage-server[postgresql]: is it still an extra?")
    try:
        check_settings(Settings(store_url="postgresql://127.0.0.1/afterimage"))
    except Exception as error:
        if "afterimage-server[postgresql]" in str(error):
            return
        raise
    raise SystemExit("a store_url is accepted without afterimage-server[postgresql]")


def _needs_an_extra(module: str, extra: str) -> None:
    try:
        importlib.import_module(module)
    except Exception as error:
        if extra in str(error):
            return
        raise
    raise SystemExit(f"{module} works without {extra}: is it still an extra?")


def _build_an_ann_index() -> None:
    from afterimage_server.index.vectors.ann.ann_build_job import AnnBuilds

    vectors = np.random.default_rng(1).standard_normal((1024, 32)).astype(np.float16)
    found, signatures = AnnBuilds().build(vectors)
    if len(signatures) != len(vectors):
        raise SystemExit(f"the ANN index has {len(signatures)} signatures: {found}")


def _read_a_feed() -> None:
    from afterimage_server.service.sync.feed_input.feed_process import FeedReaders
    from afterimage_server.service.sync.feeds.model import FeedOptions

    content = b"id,image_link\n1,https://shop.example/1.jpg\n2,https://shop.example/2.jpg\n"
    readers = FeedReaders()
    _, items = readers.read_feed(io.BytesIO(content), len(content), FeedOptions(), "https://shop.example/")
    if len(list(items)) != 2:
        raise SystemExit("the feed is not read")
    asyncio.run(readers.close())


def _train() -> None:
    from afterimage_server.service.training.fit_process import fit_apart

    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(60), 6)
    vectors = (rng.standard_normal((60, 32))[labels] + 0.3 * rng.standard_normal((360, 32))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    fitted = asyncio.run(fit_apart(vectors, labels, {}))
    if fitted.projection.matrix.shape[0] != 32:
        raise SystemExit(f"the projection has the shape {fitted.projection.matrix.shape}")


def _use_the_library() -> None:
    """The quickstart that the library's own README shows, under the name that an installation has."""
    readme = Path(afterimage_server.__path__[0]) / "index" / "README.md"
    code = readme.read_text().partition("```python\n")[2].partition("```")[0]
    exec(compile(code.replace("from index import", "from afterimage_server.index import"), readme.name, "exec"), {})  # noqa: S102


if __name__ == "__main__":
    main()
