"""Errors as AutoScript raises them."""

from __future__ import annotations


class ApiException(Exception):  # noqa: N818 - the vendor's name
    """Error of the client."""


class ApplicationServerException(Exception):  # noqa: N818 - the vendor's name
    """Error that the server reports."""
