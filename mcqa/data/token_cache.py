"""The tokens of texts that the trials of a study share: read from a file by all but the first trial."""

import hashlib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

Key = bytes


class CachedTokenizer:
    """A tokenizer that tokenises no text twice; everything else is the tokenizer's own."""

    def __init__(self, tokenizer: Any, known: dict[Key, "np.ndarray[Any, Any]"]) -> None:
        self._tokenizer, self._known = tokenizer, known
        self.new = False

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> dict[str, list[list[int]]]:
        keys = [_key(text, add_special_tokens) for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if missing:
            self.new = True
            read = self._tokenizer(list(missing.values()), add_special_tokens=add_special_tokens)["input_ids"]
            self._known |= {key: np.asarray(ids, np.int32) for key, ids in zip(missing, read, strict=True)}
        return {"input_ids": [self._known[key].tolist() for key in keys]}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


@contextmanager
def shared_tokenizer(tokenizer: Any, path: Path) -> Iterator[CachedTokenizer]:
    """The tokenizer, with what `path` (.npz) has of it; what is new stands there afterwards.

    Where there is no file yet one process makes it and the others wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    first = not path.exists()
    if first:
        lock.acquire()
        if path.exists():
            lock.release()
    try:
        known = _load(path)
        remembering = CachedTokenizer(tokenizer, known)
        yield remembering
        if remembering.new:
            with lock:
                _save(path, _load(path) | known)
    finally:
        lock.release(force=True)


def _key(text: str, special: bool) -> Key:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=b"+" if special else b"").digest()


def _load(path: Path) -> dict[Key, "np.ndarray[Any, Any]"]:
    """Nothing where there is no file, or none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys, ends, ids = stored["keys"].tobytes(), stored["ends"], stored["ids"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    texts = np.split(ids, ends[:-1]) if len(ends) else []
    return {keys[16 * n : 16 * n + 16]: text for n, text in enumerate(texts)}


def _save(path: Path, known: dict[Key, "np.ndarray[Any, Any]"]) -> None:
    aside = path.with_name(f"{path.stem}.new.npz")
    keys = np.frombuffer(b"".join(known), np.uint8)
    ends = np.cumsum([len(ids) for ids in known.values()], dtype=np.int64)
    np.savez(aside, keys=keys, ends=ends, ids=np.concatenate([*known.values(), np.zeros(0, np.int32)]))
    aside.replace(path)
