"""Text that software fills in where it has no value, told by its form."""


def is_repeated(value: str) -> bool:
    """Whether it is one character over and over, hyphens aside."""
    first, last = value[:1], value[-1:]
    if first != last and first != "-" and last != "-":
        return False  # two characters at least: nearly all values end here
    return len(set(value) - {"-"}) <= 1
