"""Who sees what, signing in and out, and forms from elsewhere."""

from __future__ import annotations

import re

import httpx
import pytest
from tests.web_scene import EVE_PASSWORD, Scene, submit_login

SECRET = "/admin/secret"
PAGES = [
    "",
    "/tree/main",
    "/blob/main/plans.txt",
    "/raw/main/plans.txt",
    "/commits/main",
    "/commit/{commit}",
    "/branches",
    "/tags",
    "/pushes",
    "/pushes/{push}",
]


def without_address(html: str, path: str) -> str:
    return html.replace(path, "PATH").replace(path.rpartition("/")[2], "NAME")


@pytest.mark.parametrize("page", PAGES)
def test_what_may_not_be_seen_is_the_page_of_what_does_not_exist(scene: Scene, page: str) -> None:
    page = page.format(commit=scene.first, push=scene.pushes[0])
    with scene.visitor() as nobody, scene.sign_in("eve", EVE_PASSWORD) as eve, scene.sign_in() as admin:
        for client in (nobody, eve):
            hidden = client.get(SECRET + page)
            absent = client.get("/admin/nought" + page)
            assert hidden.status_code == absent.status_code == 404
            assert hidden.text.replace("secret", "nought") == absent.text
        if "{" not in page and "commit/" not in page and "pushes/" not in page:
            assert admin.get(SECRET + page).status_code == 200


def test_an_error_is_a_page_for_people_and_json_for_programs(scene: Scene, visitor: httpx.Client) -> None:
    page = visitor.get("/admin/nought")
    assert "repository-not-found" in page.text
    assert "Sign in" in page.text
    program = visitor.get("/admin/nought", headers={"accept": "*/*"})
    assert program.json()["error"]["code"] == "repository-not-found"
    for path in ("/no/such/page/at/all", "/static/other.css", "/admin/engine/tree/nought", "/nobody"):
        answer = visitor.get(path)
        assert answer.status_code == 404
        assert "<h1>Nothing here</h1>" in answer.text


def test_nobody_who_is_signed_in_is_asked_to_where_nothing_is(scene: Scene, visitor: httpx.Client) -> None:
    with scene.sign_in() as admin:
        for client in (visitor, admin):
            assert "Sign in" not in client.get("/no/such/page/at/all").text
        assert "Sign in" not in admin.get("/admin/nought").text


def test_from_what_a_repository_lacks_a_link_leads_back_to_it(visitor: httpx.Client) -> None:
    link = '<a class="button" href="/admin/engine">admin/engine</a>'
    for page in ("blob/main/no/such/file", "tree/nought", "commits/nought", "pushes/" + "0" * 32):
        assert link in visitor.get(f"/admin/engine/{page}").text, page
    assert "/admin/secret</a>" not in visitor.get("/admin/secret/blob/main/plans.txt").text


@pytest.mark.parametrize(
    "path",
    [
        "/admin/engine/blob/main",
        "/admin/engine/blob/main/no/such/file",
        "/admin/engine/raw/main/src",
        "/admin/engine/commit/zzz",
        "/admin/engine/commit/0123456789",
        "/admin/engine/commit/..%2f..%2fetc",
        "/admin/engine/tree/main/README.md/x",
        "/admin/engine/tree/..%2f..%2f",
        "/admin/engine/pushes/00",
        "/admin/engine/pushes/no-hex",
        "/admin/engine/blob/%00/x",
        "/admin/engine/commits/main?after=AAAA",
    ],
)
def test_addresses_that_name_nothing_are_answered_as_such(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(path).status_code in (400, 404)


def test_signing_in_opens_private_repositories_and_signing_out_closes_them(scene: Scene) -> None:
    with scene.visitor() as client:
        answer = submit_login(client, "admin", scene.hub.password, next=f"{SECRET}/pushes")
        assert answer.status_code == 303
        assert answer.headers["location"] == f"{SECRET}/pushes"
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert re.search("samesite=lax", cookie, re.IGNORECASE)
        page = client.get(SECRET)
        assert page.status_code == 200

        session = client.cookies["musehub_session"]
        form = re.search(r'name="form_token" value="([^"]+)"', page.text)
        assert form is not None
        assert client.post("/logout", data={"form_token": form[1]}).status_code == 303
        assert client.get(SECRET).status_code == 404
        client.cookies.set("musehub_session", session)
        assert client.get(SECRET).status_code == 404, "the session has ended on the hub"


@pytest.mark.parametrize("target", ["//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere"])
def test_signing_in_never_leads_elsewhere(scene: Scene, target: str) -> None:
    with scene.visitor() as client:
        answer = submit_login(client, "admin", scene.hub.password, next=target)
        assert answer.headers["location"] == "/"


def test_a_form_from_elsewhere_signs_nobody_in_or_out(scene: Scene) -> None:
    fields = {"name": "admin", "password": scene.hub.password, "form_token": "guessed"}
    with scene.visitor() as client:
        assert client.post("/login", data=fields).status_code == 403
        client.get("/login")
        assert client.post("/login", data=fields).status_code == 403
        right = {**fields, "form_token": client.cookies["musehub_form"]}
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "http://elsewhere.example"}):
            assert client.post("/login", data=right, headers=headers).status_code == 403
        assert "musehub_session" not in client.cookies
    with scene.sign_in() as admin:
        assert admin.post("/logout", data={"form_token": "guessed"}).status_code == 403
        assert admin.get(SECRET).status_code == 200


def test_wrong_passwords_are_refused_and_then_have_to_wait(scene: Scene) -> None:
    with scene.visitor() as client:
        for _ in range(5):
            answer = submit_login(client, "mallory", "guess")
            assert answer.status_code == 401
            assert "Name or password is wrong." in answer.text
        answer = submit_login(client, "mallory", "guess")
        assert answer.status_code == 429
        assert "Too many failed logins." in answer.text


def test_a_program_may_fetch_a_raw_file_with_a_token(scene: Scene, visitor: httpx.Client) -> None:
    path = f"{SECRET}/raw/main/plans.txt"
    token = {"authorization": f"Bearer {scene.hub.token}"}
    assert visitor.get(path, headers=token).content == b"nobody may see this\n"


def test_every_page_forbids_scripts_frames_and_foreign_content(visitor: httpx.Client) -> None:
    for path in ("/", "/login", "/admin/engine", "/nobody"):
        headers = visitor.get(path).headers
        policy = headers["content-security-policy"]
        for rule in ("default-src 'self'", "script-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert rule in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-cache"


def test_the_style_sheet_is_kept_by_browsers_and_named_by_its_content(visitor: httpx.Client) -> None:
    style = re.search(r'href="(/static/musehub\.css\?v=\w+)"', visitor.get("/").text)
    assert style is not None
    answer = visitor.get(style[1])
    assert answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]
