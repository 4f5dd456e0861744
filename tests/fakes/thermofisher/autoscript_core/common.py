"""Errors as AutoScript raises them."""

from __future__ import annotations


class ApiException(Exception):
    """Error of the client."""


class ApplicationServerException(Exception):
    """Error that the server reports."""
