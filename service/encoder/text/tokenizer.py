"""Texts to numbers of tokens, as a tokenizer file says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.encoder.manifest import TextSpec
from service.errors import SettingError

Tokens = NDArray[np.int64]


class TextTokenizer:
    """A tokenizer in memory. Any number of threads may use it at once."""

    def __init__(self, folder: Path, spec: TextSpec) -> None:
        """Raises SettingError if the package `tokenizers` is missing, or the file is no tokenizer."""
        try:
            from tokenizers import Tokenizer
        except ImportError:
            remedy = "a text tower needs the package tokenizers: pip install 'afterimage-server[text]'"
            raise SettingError(f"{folder / spec.tokenizer}: {remedy}") from None
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / spec.tokenizer))
            self._tokenizer.enable_truncation(spec.max_tokens)
            self._tokenizer.no_padding()
        except Exception as error:  # the package raises plain Exception
            raise SettingError(f"{folder / spec.tokenizer}: not a tokenizer file: {error}") from None
        _forget_words(self._tokenizer.model)
        self._spec = spec

    def tokens(self, text: str) -> tuple[Tokens, Tokens]:
        """Numbers of the tokens of a text, and 1 for each that counts and 0 for padding; each int64, shape (n,).

        A text of more than `max_tokens` is cut off. One without any token is a single padding.
        """
        spec = self._spec
        encoding = self._tokenizer.encode(text.lower() if spec.lowercase else text)
        ids = np.array(encoding.ids, np.int64)
        length = spec.max_tokens if spec.padding == "max_tokens" else max(1, len(ids))
        padded = np.pad(ids, (0, length - len(ids)), constant_values=spec.pad_id)
        return padded, (np.arange(length) < len(ids)).astype(np.int64)


def _forget_words(model: object) -> None:
    """BPE and Unigram models remember the words that they have seen, and these come from queries."""
    resize = getattr(model, "_resize_cache", None)
    if resize is not None:
        resize(0)
