"""The packaged SQL: one text for every engine.

Rules that keep it portable: parameters come from the one-row view `params`; integers come out and Python
divides; `cast(sum(...) as bigint)`; a total order in every `row_number`; no `group by all`, no `//`.
"""

from functools import cache
from importlib import resources

VIEWS = ("compared_payments", "latest_outcomes", "payment_results", "live_labels")
"""Views that the queries stand on, each on those before it."""


@cache
def sql(name: str) -> str:
    """Text of the packaged query or view `name`."""
    return (resources.files("gateway.measurement") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
