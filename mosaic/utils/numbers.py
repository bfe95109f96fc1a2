"""Numbers of things in sentences."""


def number_of(count: int, what: str) -> str:
    """Returns a number with its noun, such as `1 image` and `2 images`."""
    return f"{count} {what}" + "s" * (count != 1)
