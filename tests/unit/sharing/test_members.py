"""The engine reads an attribute where it lay the last time, and never one that is not there any more."""

from collections import namedtuple
from typing import Any

import pytest
from msgspec import Struct

from gateway.runtime.native import engines

if engines is None:
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)


class Slotted:
    """As a work is to `told`, which reads four attributes of each."""

    __slots__ = ("answer", "decided", "index", "item")

    def __init__(self, answer: Any) -> None:
        self.index, self.item, self.answer = 0, ("", b"", None), answer
        self.decided: tuple[Any, ...] = ()


class Kept(Struct, gc=False):
    answer: Any
    decided: Any = ()
    item: Any = ("", b"", None)
    index: int = 0


InTuple = namedtuple("InTuple", ("index", "item", "decided", "answer"))


def told(*works: Any) -> list[Any]:
    """The answer that was read of each."""
    answers: list[Any] = []
    for work in works:
        results: list[Any] = [None]
        engines.told([work], results, {})
        answers.append(results[0])
    return answers


def in_tuple(answer: Any) -> Any:
    return InTuple(0, ("", b"", None), (), answer)


def test_of_each_kind_of_object_its_own_is_read_in_any_order() -> None:
    class Plain:
        index, item, decided = 0, ("", b"", None), ()

        def __init__(self, answer: Any) -> None:
            self.answer = answer

    makers = (Slotted, Kept, in_tuple, Plain)
    for first in makers:
        for second in makers:
            made = [first(1), second(2), first(3), first(4), second(5), second(6)]
            assert told(*made) == [1, 2, 3, 4, 5, 6]


def test_a_subclass_that_answers_otherwise_is_asked() -> None:
    class ByProperty(Slotted):
        __slots__ = ()

        @property
        def answer(self) -> Any:
            return "made"

        @answer.setter
        def answer(self, value: Any) -> None:
            pass

    class ByHand(Slotted):
        __slots__ = ()

        def __getattribute__(self, name: str) -> Any:
            return "by hand" if name == "answer" else super().__getattribute__(name)

    class ForWhatIsAbsent(Slotted):
        __slots__ = ()

        def __getattr__(self, name: str) -> Any:
            return f"no {name}"

    absent = ForWhatIsAbsent(1)
    del absent.answer
    by_hand, by_property = ByHand(2), ByProperty(3)
    made = [Slotted(1), by_hand, by_hand, by_property, by_property, absent, absent, Slotted(4)]
    assert told(*made) == [1, "by hand", "by hand", "made", "made", "no answer", "no answer", 4]


@pytest.mark.parametrize("base", [Slotted, Kept])
def test_a_type_that_is_changed_is_looked_at_anew(base: Any) -> None:
    class Changed(base):  # type: ignore[misc]
        pass

    made = Changed(1)
    assert told(made, made) == [1, 1]
    Changed.answer = property(lambda self: "changed")
    assert told(made) == ["changed"]
    del Changed.answer
    assert told(made, made) == [1, 1]


def test_a_base_that_is_changed_is_looked_at_anew() -> None:
    class Base(Slotted):
        pass

    class Derived(Base):
        pass

    made = Derived(1)
    assert told(made, made) == [1, 1]
    Base.answer = property(lambda self: "changed")  # type: ignore[assignment]
    assert told(made) == ["changed"]


def test_an_object_that_becomes_of_another_type_is_looked_at_anew() -> None:
    class Other(Slotted):
        __slots__ = ()
        answer = property(lambda self: "other")  # type: ignore[assignment]

    made = Slotted(1)
    assert told(made, made) == [1, 1]
    made.__class__ = Other
    assert told(made) == ["other"]


def test_a_member_under_another_name_is_read_where_it_lies() -> None:
    class Renamed(Slotted):
        __slots__ = ("other",)

    Renamed.answer = Renamed.other  # type: ignore[attr-defined]
    made = Renamed(1)
    assert made.other == 1  # type: ignore[attr-defined]
    assert told(made, made) == [1, 1]


def test_what_a_metaclass_says_of_a_type_is_not_said_of_its_objects() -> None:
    class Meta(type):
        answer = property(lambda cls: Slotted.item)  # type: ignore[attr-defined]

    class Made(Slotted, metaclass=Meta):
        __slots__ = ()

    made = Made(1)
    assert told(made, made) == [1, 1]


def test_an_attribute_that_was_deleted_is_missing() -> None:
    made = Slotted(1)
    assert told(made) == [1]
    del made.answer
    with pytest.raises(AttributeError, match="answer"):
        told(made)


def test_a_tuple_that_is_too_short_has_no_such_member() -> None:
    # Many, so that something lies behind each of them.
    short = [tuple.__new__(InTuple, (0, ("", b"", None))) for _ in range(1_000)]
    assert told(in_tuple(1)) == [1]
    for one in short:
        with pytest.raises(IndexError):
            told(one)


def test_types_come_and_go() -> None:
    """A type that takes the place of another in memory is another type."""
    for number in range(300):
        fields = ("answer", "decided", "index", "item")
        made = type("Made", (), {"__slots__": fields[number % 2 :] + fields[: number % 2]})()
        made.index, made.item, made.decided, made.answer = 0, ("", b"", None), [], number
        assert told(made, made) == [number, number]
