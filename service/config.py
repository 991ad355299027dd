"""Loads settings: the only module that reads the environment.

A setting comes from a flag, else from `AFTERIMAGE_<NAME>` in the environment, else from the TOML file that `--config`
or AFTERIMAGE_CONFIG names, else from its default. The settings themselves are in `service.settings.model`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import SettingError
from service.renamed_settings import RENAMED, current_names
from service.setting_errors import Origins, explained, hint
from service.settings.checks import check_settings
from service.settings.model import Settings

_PREFIX = "AFTERIMAGE_"
_CLIENT_VARIABLES = frozenset({"TARGET", "API_KEY", "API_KEY_FILE", "CA_FILE", "CONFIG", "STATE_DIR"})


@dataclass(frozen=True)
class LoadedSettings:
    """Settings, and the origin of each: "flag", "environment", "file" or "default".

    `warnings`: one line for each deprecated name, and for each variable AFTERIMAGE_* that is not a setting.
    """

    settings: Settings
    places: Origins
    warnings: tuple[str, ...]

    @property
    def origins(self) -> Mapping[str, str]:
        return self.places.kinds


def load_settings(flags: Mapping[str, object], config_file: Path | None = None) -> LoadedSettings:
    """Collects, checks and returns the settings. Raises SettingError, naming the setting, its origin and the remedy."""
    in_flags = {name: value for name, value in flags.items() if value is not None}
    path = config_file or (Path(os.environ["AFTERIMAGE_CONFIG"]) if os.environ.get("AFTERIMAGE_CONFIG") else None)
    file = current_names(_read_file(path) if path else {}, lambda name: f"{name} in {path}")
    environment = current_names(_variables(), lambda name: _PREFIX + name.upper())
    in_environment = {n: v for n, v in environment.values.items() if n in Settings.model_fields}
    kinds = {
        **dict.fromkeys(Settings.model_fields, "default"), **dict.fromkeys(file.values, "file"),
        **dict.fromkeys(in_environment, "environment"), **dict.fromkeys(in_flags, "flag"),
    }  # fmt: skip
    old_names = {"file": file.given_as, "environment": environment.given_as}
    given_as = {n: old_names[k][n] for n, k in kinds.items() if n in old_names.get(k, {})}
    origins = Origins(kinds, path, _PREFIX, given_as)
    merged: dict[str, Any] = {**file.values, **in_environment, **in_flags}
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingError(explained(error, Settings, origins, merged)) from None
    try:
        check_settings(settings)
    except SettingError as error:
        raise origins.added_to(error) from None
    return LoadedSettings(settings, origins, (*file.warnings, *variable_warnings()))


def variable_warnings() -> tuple[str, ...]:
    """One line for each variable AFTERIMAGE_* with a deprecated or unknown name."""
    known = {n.upper() for n in Settings.model_fields} | _CLIENT_VARIABLES
    names = sorted(v for v in os.environ if v.upper().startswith(_PREFIX))
    unknown = [v for v in names if (n := v.upper().removeprefix(_PREFIX)) not in known and n.lower() not in RENAMED]
    deprecated = current_names(_variables(), lambda name: _PREFIX + name.upper()).warnings
    said = [f"{v} is not a setting{hint(v.upper().removeprefix(_PREFIX), known, _PREFIX)}" for v in unknown]
    return (*deprecated, *said)


def _variables() -> dict[str, str]:
    """Settings from the environment, by name in lower case. Empty variables count as unset."""
    named = {v.upper(): text for v, text in os.environ.items() if text}
    return {v.removeprefix(_PREFIX).lower(): text for v, text in named.items() if v.startswith(_PREFIX)}


def process_environment() -> dict[str, str]:
    """A copy of this process's environment, for a process that replaces it."""
    return dict(os.environ)


@dataclass(frozen=True)
class ClientSettings:
    """The settings of client commands from the environment."""

    target: str
    api_key: str
    ca_file: str
    state_dir: Path


def client_settings() -> ClientSettings:
    """AFTERIMAGE_TARGET, AFTERIMAGE_API_KEY (or the file that AFTERIMAGE_API_KEY_FILE names), AFTERIMAGE_CA_FILE and
    AFTERIMAGE_STATE_DIR."""
    api_key, key_file = os.environ.get("AFTERIMAGE_API_KEY", ""), os.environ.get("AFTERIMAGE_API_KEY_FILE")
    if not api_key and key_file:
        api_key = read_key_file(Path(key_file))
    state = os.environ.get("AFTERIMAGE_STATE_DIR") or os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return ClientSettings(
        os.environ.get("AFTERIMAGE_TARGET", "127.0.0.1:50051"), api_key, os.environ.get("AFTERIMAGE_CA_FILE", ""),
        Path(state).expanduser() / "afterimage",
    )  # fmt: skip


def read_key_file(path: Path) -> str:
    """An API key from a file. Raises SettingError."""
    try:
        return path.read_text().strip()
    except OSError as error:
        raise SettingError(f"API key file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingError(f"API key file {path}: not a text file; it must contain only an API key") from None


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"config file {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SettingError(f"config file {path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"config file {path}: {error}") from error
