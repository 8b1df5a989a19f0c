"""What a client sees of an error: text, HTML or problem+json; a traceback in debug mode only.

Pure functions from a request and an error to a Response. Called by `httpkit.error_handlers`.
"""

from httpkit.error_pages.pages import error_page, internal_error_page, plain_error_page
from httpkit.error_pages.traceback_page import traceback_page

__all__ = ["error_page", "internal_error_page", "plain_error_page", "traceback_page"]
