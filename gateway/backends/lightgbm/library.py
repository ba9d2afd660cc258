"""LightGBM's C library by ctypes, without its Python package: that one takes a second and 120 MB to import.

The functions and their types are those of `c_api.h`, the same from 4.0 on. A binary interface has no types to
be checked at run time: so the release is looked at where it is known, every function has to be there, and
whoever loads a model asks it for scores that are known (manifest, `probes`).
"""

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_double, c_int, c_int32, c_int64, c_void_p
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from struct import Struct
from typing import Any, Final

from enrichment.scoring.manifest import ModelRefused

RELEASES: Final = ("4.",)
"""Releases whose C interface this file is written for."""

_FILE_NAMES: Final = ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
_FLOAT64: Final = 1  # C_API_DTYPE_FLOAT64
_RAW, _CONTRIBUTIONS = 1, 3  # C_API_PREDICT_RAW_SCORE, C_API_PREDICT_CONTRIB
_ALL_TREES: Final = (0, -1)
_ROW_MAJOR: Final = 1
_PARAMETERS: Final = b"num_threads=1 verbosity=-1 predict_disable_shape_check=false"
"""One thread: a batch is done in less time than threads take to be woken."""

_HANDLE = POINTER(c_void_p)
_FUNCTIONS: Final[dict[str, list[Any]]] = {
    "LGBM_BoosterLoadModelFromString": [c_char_p, POINTER(c_int), _HANDLE],
    "LGBM_BoosterFree": [c_void_p],
    "LGBM_BoosterGetNumFeature": [c_void_p, POINTER(c_int)],
    "LGBM_BoosterGetNumClasses": [c_void_p, POINTER(c_int)],
    "LGBM_BoosterPredictForMat": [
        c_void_p, c_void_p, c_int, c_int32, c_int32, c_int, c_int, c_int, c_int, c_char_p,
        POINTER(c_int64), c_void_p,
    ],
    "LGBM_BoosterPredictForMatSingleRowFastInit": [
        c_void_p, c_int, c_int, c_int, c_int, c_int32, c_char_p, _HANDLE,
    ],
    "LGBM_BoosterPredictForMatSingleRowFast": [c_void_p, c_void_p, POINTER(c_int64), c_void_p],
    "LGBM_FastConfigFree": [c_void_p],
}  # fmt: skip


def find_library() -> Path:
    """Where the installed package has it. Raises ModelRefused: `library_missing`, `library_release`."""
    try:
        installed = Distribution.from_name("lightgbm")
    except PackageNotFoundError:
        raise ModelRefused(
            "library_missing", "LightGBM is not installed; install the extra `score`, or set score.library"
        ) from None
    if not installed.version.startswith(RELEASES):
        raise ModelRefused(
            "library_release", f"LightGBM {installed.version} is not of a release that is known; install 4.x"
        )
    for name in installed.files or ():
        if name.name in _FILE_NAMES:
            return Path(str(installed.locate_file(name)))
    raise ModelRefused("library_missing", "the installed LightGBM has no library; set score.library")


@lru_cache(maxsize=4)
def load_library(path: Path, *, keeps_lock: bool) -> Any:
    """The library with its functions typed. Raises ModelRefused(`library_missing`, `library_abi`).

    `keeps_lock`: calls keep the interpreter's lock. A call of microseconds that gives it up may wait 5 ms
    until it has it back; one of milliseconds has to give it up.
    """
    try:
        library: Any = (ctypes.PyDLL if keeps_lock else ctypes.CDLL)(str(path))
    except OSError:
        raise ModelRefused(
            "library_missing", "LightGBM's library does not load; on Linux it needs libgomp1"
        ) from None
    try:
        for name, arguments in _FUNCTIONS.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, c_int
    except AttributeError:
        raise ModelRefused("library_abi", "LightGBM's library lacks a function; install 4.x") from None
    return library


class Booster:
    """One model in memory. For one thread at a time; freed with its last reference."""

    __slots__ = ("_answer", "_columns", "_fast", "_handle", "_length", "_library", "_one", "_row", "_single")

    def __init__(self, library: Any, model: bytes, columns: int) -> None:
        """`model`: the text of a model file. Raises ModelRefused: `model_malformed`, `model_features`."""
        self._library, self._columns = library, columns
        self._handle, self._fast = c_void_p(), c_void_p()
        self._length, self._one = c_int64(), c_double()
        self._answer = byref(self._length), byref(self._one)
        self._row = (c_double * columns)()
        self._single = Struct(f"={columns}d")
        found = c_int()
        if library.LGBM_BoosterLoadModelFromString(model, byref(found), byref(self._handle)):
            self._handle = c_void_p()
            raise ModelRefused(
                "model_malformed", "model file is not a model of LightGBM; train or copy it anew"
            )
        self._ask("LGBM_BoosterGetNumClasses", byref(found))
        if found.value != 1:
            raise ModelRefused("model_malformed", "model has more than one class; train one of two outcomes")
        self._ask("LGBM_BoosterGetNumFeature", byref(found))
        if found.value != columns:
            raise ModelRefused("model_features", f"model takes another number of features than {columns}")
        self._ask(
            "LGBM_BoosterPredictForMatSingleRowFastInit",
            _RAW, *_ALL_TREES, _FLOAT64, columns, _PARAMETERS, byref(self._fast),
        )  # fmt: skip

    def __del__(self) -> None:
        if self._fast:
            self._library.LGBM_FastConfigFree(self._fast)
        if self._handle:
            self._library.LGBM_BoosterFree(self._handle)

    def _ask(self, name: str, *arguments: Any) -> None:
        if getattr(self._library, name)(self._handle, *arguments):
            raise ModelRefused("model_fault", "LightGBM's library could not answer; look at its release")

    def raw_at(self, rows: Any, offset: int) -> float:
        """Log-odds of the row that lies `offset` bytes into a buffer of doubles, by the single-row call."""
        return self.raw_of(byref(rows, offset))

    def raw_of(self, row: Any) -> float:
        """Log-odds of one row of doubles: bytes, or where they are. The caller sees to its length."""
        if self._library.LGBM_BoosterPredictForMatSingleRowFast(self._fast, row, *self._answer):
            raise ModelRefused("model_fault", "LightGBM's library could not answer; look at its release")
        return self._one.value

    def raw_many(self, rows: Any, count: int) -> Any:
        """Log-odds of the first `count` rows of a buffer of doubles, in one call: a sequence of numbers."""
        answers = (c_double * count)()
        self._predict(rows, count, _RAW, answers)
        return answers

    def contributions(self, row: Sequence[float]) -> Any:
        """What each feature adds to the log-odds of one row; the last is what all rows have (TreeSHAP)."""
        self._single.pack_into(self._row, 0, *row)
        answers = (c_double * (self._columns + 1))()
        self._predict(self._row, 1, _CONTRIBUTIONS, answers)
        return answers

    def _predict(self, rows: Any, count: int, kind: int, answers: Any) -> None:
        if self._library.LGBM_BoosterPredictForMat(
            self._handle, rows, _FLOAT64, count, self._columns, _ROW_MAJOR, kind, *_ALL_TREES, _PARAMETERS,
            byref(self._length), answers,
        ):  # fmt: skip
            raise ModelRefused("model_fault", "LightGBM's library could not answer; look at its release")
