"""Root of the gateway's errors: a machine code and a public text, apart from the cause."""


class GatewayError(Exception):
    """Base of all typed errors. `public` may reach a caller: it names fields and remedies, never values."""

    code = "internal"

    def __init__(self, public: str) -> None:
        super().__init__(public)
        self.public = public
