"""The engine reads a member of an object as `getattr` does, whatever the object is and becomes."""

import gc
import sys
import weakref
from collections import namedtuple
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enrichment.payment import NO_FACTS, Assessment
from gateway.records.reasons import Reason, Withhold
from gateway.runtime.native import engines
from gateway.sharing.decide import no_program
from gateway.sharing.items import Item
from gateway.sharing.work import Work

if not hasattr(engines, "Member"):
    pytest.skip("the engines of native/ are not built here", allow_module_level=True)

NAMES: Final = ("first", "second", "third")
VALUES: Final = ("a", "b", "c")
MORE_TYPES_THAN_ARE_KEPT: Final = 9
KNOWN_INTERPRETER: Final = sys.implementation.name == "cpython" and sys.version_info[:2] == (3, 11)


def of_slots(**more: Any) -> Any:
    one = type("Slots", (), {"__slots__": NAMES, **more})()
    for name, value in zip(NAMES, VALUES, strict=True):
        setattr(one, name, value)
    return one


def of_a_dictionary() -> Any:
    one = type("Plain", (), {"second": "of the class"})()
    one.first, one.third = "a", "c"
    return one


def of_a_struct() -> Any:
    return msgspec.defstruct("Struct", NAMES)(*VALUES)


def of_a_struct_without_gc() -> Any:
    return msgspec.defstruct("Struct", NAMES, gc=False)(*VALUES)


def named() -> Any:
    return namedtuple("Named", ("first", "second", "third"))


def of_a_named_tuple() -> Any:
    return named()(*VALUES)


def of_a_named_tuple_that_is_short() -> Any:
    return tuple.__new__(named(), VALUES[:1])


def of_a_named_tuple_with_names_swapped() -> Any:
    kind = named()
    return type("Swapped", (kind,), {"first": kind.third, "second": kind.first})(*VALUES)


def of_a_subclass() -> Any:
    return type("Below", (type(of_slots()),), {"__slots__": ("fourth",)})()


def of_a_subclass_with_a_property() -> Any:
    below = type("Below", (type(of_slots()),), {"second": property(lambda self: "made")})
    one = below()
    one.first = "a"
    return one


def of_two_bases() -> Any:
    base = type(of_slots())
    return type("Below", (type("Mixin", (), {"first": "mixed in", "__slots__": ()}), base), {})()


def with_a_slot_of_another_class() -> Any:
    return type("Lent", (), {"__slots__": ("second",), "first": type(of_slots()).__dict__["first"]})()


def with_getattribute() -> Any:
    return of_slots(__getattribute__=lambda self, name: ("asked", name))


def of_a_frozen_struct() -> Any:
    return msgspec.defstruct("Struct", NAMES, frozen=True, gc=False)(*VALUES)


def of_a_struct_with_setattr() -> Any:
    def doubled(self: Any, name: str, value: object) -> None:
        object.__setattr__(self, name, (value, value))

    return msgspec.defstruct("Struct", NAMES, gc=False, namespace={"__setattr__": doubled})(*VALUES)


def with_setattr() -> Any:
    one = of_slots()
    return type("Below", (type(one),), {"__slots__": (), "__setattr__": lambda self, name, value: None})()


def with_getattr() -> Any:
    return of_slots(__getattr__=lambda self, name: ("instead", name))


MADE: Final[tuple[Callable[[], Any], ...]] = (
    of_slots, of_a_dictionary, of_a_struct, of_a_struct_without_gc, of_a_named_tuple,
    of_a_named_tuple_that_is_short, of_a_named_tuple_with_names_swapped, of_a_subclass,
    of_a_subclass_with_a_property, of_two_bases, of_a_frozen_struct,
    of_a_struct_with_setattr, with_setattr, with_a_slot_of_another_class, with_getattribute, with_getattr,
)  # fmt: skip
"""Each is an object of classes that nothing was read of yet."""


def give(one: Any, name: str) -> None:
    setattr(one, name, object())


def delete(one: Any, name: str) -> None:
    delattr(one, name)


def put_property(one: Any, name: str) -> None:
    setattr(type(one), name, property(lambda self: "made"))


def put_another_slot(one: Any, name: str) -> None:
    setattr(type(one), name, type(one).third)


def put_property_in_base(one: Any, name: str) -> None:
    setattr(type(one).__mro__[1], name, property(lambda self: "of the base"))


def take_from_class(one: Any, name: str) -> None:
    delattr(type(one), name)


def put_getattribute(one: Any, name: str) -> None:
    kind: Any = type(one)
    kind.__getattribute__ = lambda self, name: "seen"


def become_another(one: Any, name: str) -> None:
    another = type("Another", type(one).__bases__, {"__slots__": ("third", "second", "first")})
    one.__class__ = another


ACTS: Final = (
    give, delete, put_property, put_another_slot, put_property_in_base, take_from_class, put_getattribute,
    become_another,
)  # fmt: skip


def said(call: Callable[..., object], *values: object) -> object:
    try:
        return call(*values)
    except (AttributeError, TypeError, IndexError) as error:
        return type(error), str(error)


def assert_as_getattr(member: Any, one: Any, name: str) -> None:
    for _ in range(2):  # as it is seen first, and as it is known
        assert said(member.get, one) == said(getattr, one, name)


@given(
    make=st.sampled_from(MADE), name=st.sampled_from((*NAMES, "__class__", "nowhere")),
    acts=st.lists(st.sampled_from(ACTS), max_size=4),
)  # fmt: skip
@settings(max_examples=600, deadline=None)
def test_a_member_is_what_getattr_says_before_and_after_each_change(
    make: Callable[[], Any], name: str, acts: list[Callable[[Any, str], None]]
) -> None:
    member, one = engines.Member(name), make()
    assert_as_getattr(member, one, name)
    for act in acts:
        if said(act, one, name) is not None:
            continue  # such an object cannot
        # The engine first: what `getattr` looks up would be news of the type.
        mine = said(member.get, one)
        assert mine == said(getattr, one, name)
        assert_as_getattr(member, one, name)


@given(
    make=st.sampled_from(MADE), name=st.sampled_from((*NAMES, "__class__", "nowhere")),
    acts=st.lists(st.sampled_from(ACTS), max_size=4), value=st.sampled_from(["text", 7, None]),
)  # fmt: skip
@settings(max_examples=600, deadline=None)
def test_a_member_is_set_as_setattr_sets_it(
    make: Callable[[], Any], name: str, acts: list[Callable[[Any, str], None]], value: object
) -> None:
    member, mine, theirs = engines.Member(name), make(), make()

    def assert_as_setattr() -> None:
        for given_now in (value, [value], object):  # as it is met first, and as it is known
            assert said(member.set, mine, given_now) == said(setattr, theirs, name, given_now)
            for one in NAMES:
                assert said(getattr, mine, one) == said(getattr, theirs, one)
            assert gc.is_tracked(mine) == gc.is_tracked(theirs)

    assert_as_setattr()
    for act in acts:
        if said(act, mine, name) is None is said(act, theirs, name):
            assert_as_setattr()


@given(
    made=st.lists(st.sampled_from(MADE), min_size=2, max_size=MORE_TYPES_THAN_ARE_KEPT),
    turns=st.integers(1, 3),
)
@settings(max_examples=200, deadline=None)
def test_one_member_of_many_types_is_each_ones_own(made: list[Callable[[], Any]], turns: int) -> None:
    member, ones = engines.Member("first"), [make() for make in made]
    for one in ones * turns:
        assert_as_getattr(member, one, "first")


@pytest.mark.skipif(not KNOWN_INTERPRETER, reason="on another interpreter getattr is asked")
@pytest.mark.parametrize(
    ("one", "name"),
    [
        (Work(0, Item("", b""), None), "item"),  # type: ignore[arg-type]
        (Item("", b""), "withhold"),
        (NO_FACTS, "mask"),
        (no_program(Reason.SHADOW), "reason"),
        (Withhold(Reason.SHADOW), "reason"),
        (Assessment("", "", "", 0, 0, 0, True, 0, ()), "percentile"),
        (of_slots(), "third"),
        (of_a_subclass_with_a_property(), "first"),
    ],
)
def test_where_a_member_of_the_hot_path_lies_is_known_once_it_was_read(one: object, name: str) -> None:
    member = engines.Member(name)
    assert not member.reads_in_place(one)
    assert member.get(one) is getattr(one, name)
    assert member.reads_in_place(one)
    assert member.get(one) is getattr(one, name)


@pytest.mark.skipif(not KNOWN_INTERPRETER, reason="on another interpreter setattr is asked")
@pytest.mark.parametrize("make", MADE)
def test_a_member_is_set_where_it_lies_only_if_setattr_does_no_more(make: Callable[[], Any]) -> None:
    plainly = {
        of_slots, of_a_struct_without_gc, of_a_subclass, of_a_subclass_with_a_property, of_two_bases,
    }  # fmt: skip
    member, one = engines.Member("third"), make()
    said(member.get, one)
    said(member.set, one, "given")
    assert member.writes_in_place(one) == (make in plainly)


def test_what_python_code_makes_is_known_of_nothing() -> None:
    for one in (of_a_subclass_with_a_property(), with_getattribute(), of_a_dictionary()):
        member = engines.Member("second")
        assert member.get(one) == member.get(one) == one.second
        assert not member.reads_in_place(one)


def test_a_class_that_looks_up_by_itself_is_asked_each_time() -> None:
    answers = ["a", "b"]  # the first is what lies there
    one, member = of_slots(__getattribute__=lambda self, name: answers.pop(0)), engines.Member("first")
    assert [member.get(one), member.get(one)] == ["a", "b"]


def test_a_class_that_was_changed_is_looked_at_anew() -> None:
    one, member = of_slots(), engines.Member("first")
    member.get(one)
    type(one).fourth = "something else"
    assert not member.reads_in_place(one)
    assert member.get(one) == "a"
    assert member.reads_in_place(one) == KNOWN_INTERPRETER


def test_a_deleted_member_has_no_value_until_it_is_given_one() -> None:
    one, member = of_slots(), engines.Member("first")
    assert member.get(one) == "a"
    del one.first
    with pytest.raises(AttributeError, match="first"):
        member.get(one)
    one.first = "again"
    assert member.get(one) == "again"


def test_nothing_that_was_read_is_kept_alive() -> None:
    one, member = type(of_slots())(), engines.Member("first")
    one.first = value = type("Value", (), {})()
    assert member.get(one) is member.get(one) is value
    kind, held = weakref.ref(type(one)), weakref.ref(value)
    del one, value
    gc.collect()
    assert kind() is None
    assert held() is None


@pytest.mark.parametrize("make", [of_slots, of_a_struct_without_gc, of_a_named_tuple])
def test_values_are_counted_as_often_as_they_are_held(make: Callable[[], Any]) -> None:
    value, one, member = object(), make(), engines.Member("first")
    if isinstance(one, tuple):
        one = one._replace(first=value)  # type: ignore[attr-defined]
    else:
        before = sys.getrefcount(value)
        for _ in range(100):
            member.set(one, value)
        assert sys.getrefcount(value) == before + 1
    before = sys.getrefcount(value)
    held = [member.get(one) for _ in range(100)]
    assert sys.getrefcount(value) == before + 100
    held.clear()
    assert sys.getrefcount(value) == before


def test_what_was_there_goes_when_the_new_value_is_in_its_place() -> None:
    one, member, seen = of_a_struct_without_gc(), engines.Member("first"), []
    watched = type("Watched", (), {"__del__": lambda self: seen.append(member.get(one))})
    for _ in range(3):
        member.set(one, watched())
        member.set(one, "new")
    assert seen == ["new"] * 3


def test_a_struct_is_collected_once_it_holds_what_may_be_a_cycle() -> None:
    one, member = of_a_struct(), engines.Member("first")
    member.set(one, "text")
    assert not gc.is_tracked(one)
    member.set(one, [one])
    assert gc.is_tracked(one)
