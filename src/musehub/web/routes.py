"""All pages as one router, and what is to be loaded before the first of them is asked for."""

from __future__ import annotations

from litestar import Router
from litestar.di import Provide

from musehub.web import assets, commits, files, home, insights, pushes, raw, refs, signing_in
from musehub.web.addresses import RepositoryAddresses
from musehub.web.given import provide_browser, provide_repository
from musehub.web.highlight import highlight_lines
from musehub.web.markdown import Place, render_markdown
from musehub.web.page import environment
from musehub.web.session import provide_visit


def web_router() -> Router:
    """The pages; handlers take `settings`, `accounts` and `clock` from the application around them."""
    return Router(
        path="/",
        route_handlers=[
            assets.static,
            signing_in.show_login,
            signing_in.log_in,
            signing_in.log_out,
            home.show_home,
            home.show_owner,
            files.show_overview,
            files.show_tree,
            files.show_blob,
            raw.send_raw,
            commits.show_commits,
            commits.show_commit,
            refs.show_branches,
            refs.show_tags,
            pushes.show_pushes,
            pushes.show_push,
            insights.show_insights,
        ],
        dependencies={
            "visit": Provide(provide_visit),
            "browser": Provide(provide_browser),
            "repository": Provide(provide_repository),
        },
        include_in_schema=False,
    )


def warm_up() -> None:
    """Import and compile what pages need, so that the first is as fast as the next.

    Takes half a second: run it in a thread while the hub starts.
    """
    templates = environment()
    for name in templates.list_templates():
        templates.get_template(name)
    place = Place(RepositoryAddresses("owner", "name"), "main", "")
    render_markdown("# Title\n\n```python\nimport os\n```\n", place)
    for name in ("a.py", "a.md", "a.json", "a.toml", "a.js", "a.html", "a.sh", "a.c"):
        highlight_lines("x = 1\n", name)
