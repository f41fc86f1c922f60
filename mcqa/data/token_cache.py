"""A file of tokenised texts that the trials of a study share, so that only the first trial tokenises."""

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

Cache = dict[bytes, "np.ndarray[Any, Any]"]
"""Token ids (int32) by the 16-byte hash of their text."""


class CachedTokenizer:
    """A tokenizer that tokenises no text twice; all other attributes are those of the wrapped tokenizer."""

    def __init__(self, tokenizer: Any, cache: Cache) -> None:
        self._tokenizer, self._cache = tokenizer, cache
        self.has_new_texts = False

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> dict[str, list[list[int]]]:
        keys = [_key(text, add_special_tokens) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._cache}
        if missing:
            self.has_new_texts = True
            ids = self._tokenizer(list(missing.values()), add_special_tokens=add_special_tokens)["input_ids"]
            self._cache |= {key: np.asarray(text_ids, np.int32) for key, text_ids in zip(missing, ids, strict=True)}
        return {"input_ids": [self._cache[key].tolist() for key in keys]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


@contextmanager
def shared_tokenizer(tokenizer: Any, path: Path) -> Iterator[CachedTokenizer]:
    """Yield the tokenizer with the cache file `path` (.npz), and add new texts to the file afterwards.

    Where the file does not exist yet, one process makes it and the others wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    if not path.exists():
        lock.acquire()
        if path.exists():  # made while this process waited
            lock.release()
    try:
        cache = _load(path)
        cached = CachedTokenizer(tokenizer, cache)
        yield cached
        if cached.has_new_texts:
            with lock:
                _save(path, _load(path) | cache)
    finally:
        lock.release(force=True)


def _key(text: str, special: bool) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=b"+" if special else b"").digest()


def _load(path: Path) -> Cache:
    """Empty if there is no file, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys, ends, ids = stored["keys"].tobytes(), stored["ends"], stored["ids"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    texts = np.split(ids, ends[:-1]) if len(ends) else []
    return {keys[16 * n : 16 * n + 16]: text for n, text in enumerate(texts)}


def _save(path: Path, cache: Cache) -> None:
    temporary = path.with_name(f"{path.stem}.new.npz")
    keys = np.frombuffer(b"".join(cache), np.uint8)
    ends = np.cumsum([len(ids) for ids in cache.values()], dtype=np.int64)
    np.savez(temporary, keys=keys, ends=ends, ids=np.concatenate([*cache.values(), np.zeros(0, np.int32)]))
    temporary.replace(path)
