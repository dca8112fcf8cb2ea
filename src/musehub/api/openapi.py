"""The description of the API: a JSON document, and no page that loads scripts from elsewhere."""

from __future__ import annotations

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

import muse


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="musehub",
        version=muse.__version__,
        path="/api/v1/schema",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "token": SecurityScheme(type="http", scheme="bearer", description="a token, `mht_…`"),
                "password": SecurityScheme(
                    type="http", scheme="basic", description="name and token or password"
                ),
            }
        ),
        security=[{"token": []}, {"password": []}, {}],
    )
