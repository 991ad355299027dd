"""What the data directory says of itself: its registry, its master key, its server's name and region."""

from __future__ import annotations

import logging
import re
import secrets
from pathlib import Path

from afterimage import __version__
from index import DatabaseSharing, DataDirectory, SharedElsewhere, StoreUnavailable, WrongKey, postgres_sharing
from index.storage import read_regular, replace_file, write_synced
from service.errors import SettingError
from service.runtime.ports import make_folder
from service.settings.model import Settings
from service.tenancy.companions import check_there
from service.tenancy.masterkey import MasterKey, load_master_key, printed_master_key
from service.tenancy.registry import TenantRegistry
from service.tenancy.rewrap import finish

_REGION = re.compile(r"[a-z0-9-]{0,32}")
_NODE_NAME = re.compile(r"[0-9a-f]{8,64}")
_LOG = logging.getLogger(__name__)


def version() -> str:
    """The version of the server, which its client has too."""
    return __version__


def master_key_of(settings: Settings) -> MasterKey:
    """The master key, made where the data directory is new. Raises SettingError."""
    secret = settings.master_key.get_secret_value() if settings.master_key else None
    if settings.master_key_command:
        secret = printed_master_key(settings.master_key_command)
    data = DataDirectory(settings.data_dir)
    fresh = not data.registry.exists() and not data.tenants.exists()
    return load_master_key(settings.key_file, secret, create=fresh)


def open_registry(settings: Settings, *, create: bool = False) -> TenantRegistry:
    """The registry of tenants in the data directory; `create` makes both, and a master key, where they are new.

    Several processes may have it open. Raises SettingError where there is none, or the master key is another's, and
    DataFault where the file is missing, damaged or older than it must be.
    """
    data = DataDirectory(settings.data_dir)
    if not create and not data.registry.exists():
        check_there(data.registry)
        raise SettingError.about(
            "data_dir",
            f"{data.root} is not a data directory; pass the server's with --data-dir or "
            "AFTERIMAGE_DATA_DIR (`afterimage serve` and `afterimage tenants create` create one)",
        )
    make_folder(data.root)
    try:
        return _opened(settings, data)
    except SharedElsewhere as error:
        raise SettingError.about("store_url", str(error)) from None
    except StoreUnavailable as error:
        if settings.store_url is None:
            raise
        raise SettingError.about("store_url", str(error)) from None


def _opened(settings: Settings, data: DataDirectory) -> TenantRegistry:
    try:
        return TenantRegistry(data.registry, master_key_of(settings), sharing_of(settings))
    except WrongKey:
        if not finish(data.registry, settings.key_file):
            raise _other_master_key(settings, data) from None
        _LOG.warning("an interrupted change of the master key was completed")
        return TenantRegistry(data.registry, master_key_of(settings), sharing_of(settings))


def _other_master_key(settings: Settings, data: DataDirectory) -> SettingError:
    if settings.master_key_command:
        name, key = "master_key_command", "the key that it prints"
    elif settings.master_key:
        name, key = "master_key", "this key"
    else:
        name, key = "master_key_file", str(settings.key_file)
    return SettingError.about(
        name,
        f"{key} does not open {data.registry}: it belongs to another server, or one of the two "
        "files is damaged; restore the master key of this data directory, or run `afterimage "
        "doctor --repair`, which uses a copy of the registry",
    )


def sharing_of(settings: Settings) -> DatabaseSharing | None:
    """Shares databases of the data directory with other servers; None: there are none. Connects to nothing yet."""
    return None if settings.store_url is None else postgres_sharing(settings.store_url.get_secret_value())


def write_region(data: DataDirectory, region: str) -> None:
    """Notes where the server of a data directory says that its data lies, for commands that make tenants."""
    if read_region(data) != region:
        write_synced(data.region, region.encode())


def read_region(data: DataDirectory) -> str | None:
    """What `write_region` noted; None where no server has run on the directory. Raises SettingError."""
    if not data.region.exists() and not data.region.is_symlink():
        return None
    region = _text_of(data.region)
    if region is None or not _REGION.fullmatch(region):
        raise SettingError.about(
            "data_dir", f"{data.region} does not contain a region; remove it, and the next start creates it"
        )
    return region


def region_of(settings: Settings) -> str:
    """Where the data directory's server says that its data lies; before one has run, what the settings say."""
    noted = read_region(DataDirectory(settings.data_dir))
    return settings.region if noted is None else noted


def node_name(data: DataDirectory) -> str:
    """The server's name, made with the data directory. Raises SettingError."""
    if not data.node.exists() and not data.node.is_symlink():
        replace_file(data.node, secrets.token_hex(8).encode())
    name = _text_of(data.node)
    if name is None or not _NODE_NAME.fullmatch(name):
        raise SettingError.about(
            "data_dir", f"{data.node} does not contain a node name; remove it, and the next start creates a new one"
        )
    return name


def _text_of(path: Path) -> str | None:
    """What a small file says; None where it cannot be read, or is no text."""
    try:
        return read_regular(path).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
