"""The pages of a running hub, as a browser without scripts gets them."""

from __future__ import annotations

import hashlib
import re
from html import unescape
from urllib.parse import urlsplit

import httpx
import pytest
from tests.web_scene import FILES, ODD_NAME, Scene

ENGINE = "/admin/engine"


def get(client: httpx.Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, f"{path}: {answer.status_code}"
    assert answer.headers["content-type"].startswith("text/html")
    return answer.text


def words(html: str) -> str:
    """What a reader sees: no tags, single spaces."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def test_no_link_of_any_page_leads_nowhere(scene: Scene, admin: httpx.Client) -> None:
    """Follows every link within the hub, as far as pages of the scene go."""
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = admin.get(path, follow_redirects=True)
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html"):
            for link in re.findall(r'(?:href|src)="([^"]*)"', answer.text):
                address = urlsplit(unescape(link))
                if address.path and not address.netloc:
                    waiting.append(address.path + (f"?{address.query}" if address.query else ""))
    kinds = {path.split("/")[3] for path in seen if path.startswith(f"{ENGINE}/")}
    assert kinds == {"tree", "blob", "raw", "commits", "commit", "branches", "tags", "pushes", "insights"}


def test_the_first_page_of_a_repository_shows_its_files_and_its_readme(
    scene: Scene, visitor: httpx.Client
) -> None:
    html = get(visitor, ENGINE)
    text = words(html)
    assert f"muse clone {scene.url}{ENGINE}" in text
    assert "public" in text
    for name in ("docs", "src", "bin", "README.md", "large.txt"):
        assert name in text
    assert text.index("src 0 B" if "src 0 B" in text else "src") < text.index("README.md")
    assert "Add tools & a link" in text
    assert "agent composer" in text
    assert "signed" in text
    assert '<td align="right">12</td>' in html
    assert '<span class="kn">import</span>' in html
    assert f'src="{ENGINE}/raw/main/docs/wheel.png"' in html
    assert "<script" not in html


def test_what_people_wrote_is_text_not_html(visitor: httpx.Client) -> None:
    assert "Ada &lt;b&gt;" in get(visitor, f"{ENGINE}/commits/main")


def test_a_branch_with_a_slash_and_a_path_are_told_apart(scene: Scene, visitor: httpx.Client) -> None:
    text = words(get(visitor, f"{ENGINE}/tree/feature/printer/src/engine"))
    assert "mill.py" in text
    assert "return number + 2" in words(get(visitor, f"{ENGINE}/blob/feature/printer/src/engine/mill.py"))
    assert "return number + 1" in words(get(visitor, f"{ENGINE}/blob/{scene.agents}/src/engine/mill.py"))
    assert "return number + 1" in words(get(visitor, f"{ENGINE}/blob/v1.0/src/engine/mill.py"))


def test_odd_names_have_pages(visitor: httpx.Client) -> None:
    html = get(visitor, f"{ENGINE}/tree/main/r%C3%A4ume%20&%20t%C3%B6ne")
    (address,) = {link for link in re.findall(r'href="([^"]*)"', html) if "/blob/" in link}
    assert ODD_NAME in words(get(visitor, unescape(address)))


def test_folders_and_files_at_the_wrong_page_are_sent_on(visitor: httpx.Client) -> None:
    assert visitor.get(f"{ENGINE}/blob/main/src").headers["location"] == f"{ENGINE}/tree/main/src"
    assert visitor.get(f"{ENGINE}/tree/main/README.md").headers["location"] == f"{ENGINE}/blob/main/README.md"


def test_every_line_of_a_file_can_be_linked_to(visitor: httpx.Client) -> None:
    html = get(visitor, f"{ENGINE}/blob/main/src/engine/mill.py")
    assert list(re.findall(r'<tr id="L(\d+)"', html)) == ["1", "2", "3", "4", "5"]
    assert '<span class="k">def</span>' in html


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("docs/noise.bin", "10,240 bytes"),
        ("docs/noise.bin", hashlib.sha256(FILES["docs/noise.bin"]).hexdigest()),
        ("large.txt", "Larger than the 1.0 MiB that pages show."),
        ("link", "A symbolic link to “README.md”."),
        ("parts", "abababababababababababababababababababab"),
        ("notes.txt", "This file is empty."),
        ("docs/guide.md", "Back to the readme ."),
        ("bin/run", "executable"),
    ],
)
def test_every_kind_of_file_has_a_page(visitor: httpx.Client, path: str, text: str) -> None:
    assert text in words(get(visitor, f"{ENGINE}/blob/main/{path}"))


def test_markdown_can_be_read_as_source(visitor: httpx.Client) -> None:
    assert "# Guide" in words(get(visitor, f"{ENGINE}/blob/main/docs/guide.md?view=source"))


@pytest.mark.parametrize("path", [path for path in FILES if path != ODD_NAME])
def test_raw_files_are_what_was_pushed_and_never_run(visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(f"{ENGINE}/raw/main/{path}")
    assert answer.status_code == 200
    assert answer.content == FILES[path]
    kind = answer.headers["content-type"].partition(";")[0]
    assert kind in ("text/plain", "application/octet-stream", "image/png", "image/svg+xml")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    again = visitor.get(f"{ENGINE}/raw/main/{path}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_history_names_its_branches_tags_agents_and_signatures(visitor: httpx.Client) -> None:
    text = words(get(visitor, f"{ENGINE}/commits/feature/printer"))
    assert text.index("Turn by two") < text.index("Add tools & a link") < text.index("Begin the engine")
    for label in ("feature/printer", "v1.0", "main", "agent composer", "signed", "14 November 2023"):
        assert label in text


def test_a_commit_shows_who_and_what(scene: Scene, visitor: httpx.Client) -> None:
    text = words(get(visitor, f"{ENGINE}/commit/{scene.agents}"))
    for fact in ("Add tools & a link", "Ada <b>", "ada@example.org", "agent composer", "m-1", "studio"):
        assert fact in text
    for fact in ("take", "Ed25519", scene.agents, scene.first[:12], "4 changed files", "executable"):
        assert fact in text


def test_a_commit_shows_the_lines_it_changed(scene: Scene, visitor: httpx.Client) -> None:
    html = get(visitor, f"{ENGINE}/commit/{scene.feature}")
    assert re.search(r'<tr class="minus">.*return number \+ 1', html)
    assert re.search(r'<tr class="plus">.*return number \+ 2', html)
    assert "3 changed files +1 −1" in words(html)
    for rev in (scene.agents, scene.feature):
        assert f'src="{ENGINE}/raw/{rev}/docs/wheel.png"' in html


def test_a_commit_too_large_for_a_page_is_cut_and_says_so(scene: Scene, visitor: httpx.Client) -> None:
    text = words(get(visitor, f"{ENGINE}/commit/{scene.first}"))
    assert "Too large to compare here." in text
    assert "Begin the engine" in text


def test_the_beginning_of_an_id_names_a_commit(scene: Scene, visitor: httpx.Client) -> None:
    assert scene.first in get(visitor, f"{ENGINE}/commit/{scene.first[:8]}")


def test_branches_and_tags_are_listed_with_their_commits(visitor: httpx.Client) -> None:
    branches = words(get(visitor, f"{ENGINE}/branches"))
    assert branches.index("main default") < branches.index("feature/printer Turn by two")
    tags = words(get(visitor, f"{ENGINE}/tags"))
    assert "v1.0 annotated release v1.0" in tags


def test_pushes_are_listed_with_what_they_moved(scene: Scene, visitor: httpx.Client) -> None:
    text = words(get(visitor, f"{ENGINE}/pushes"))
    assert "feature/printer created" in text
    assert "landed" in text
    assert text.count("admin") >= len(scene.pushes)


def test_a_push_shows_where_its_time_went_and_that_it_adds_up(scene: Scene, visitor: httpx.Client) -> None:
    html = get(visitor, f"{ENGINE}/pushes/{scene.pushes[0]}")
    text = words(html)
    for phase in ("wait for client", "decode", "record", "finalise", "Sum"):
        assert phase in text
    assert "Every moment is accounted for." in text
    for figure in ("Statements", "Store calls", "Longest transaction", "Connection held", "Moving the refs"):
        assert figure in text
    bars = re.findall(r'<rect [^>]*x="([\d.]+)" y="4" width="([\d.]+)"', html)
    assert max(float(x) + float(width) for x, width in bars) == pytest.approx(1000, abs=5)
    assert scene.pushes[0] in text


def test_the_list_of_repositories_holds_what_one_may_see(scene: Scene, visitor: httpx.Client) -> None:
    assert "engine" in words(get(visitor, "/"))
    assert "secret" not in get(visitor, "/")
    with scene.sign_in() as admin:
        assert "secret" in words(get(admin, "/"))
        assert "secret" in words(get(admin, "/?q=SECR"))
        assert "engine" not in words(get(admin, "/?q=secr"))
        assert "No repository you may see" in words(get(admin, "/?q=100%25"))
        assert "secret" in words(get(admin, "/admin"))
    assert "secret" not in get(visitor, "/admin")


def test_a_repository_without_a_branch_says_how_to_push(scene: Scene, admin: httpx.Client) -> None:
    """Such is what a first push leaves that died before it moved a branch."""
    request = {"protocol": 1, "push_id": "0" * 32, "digest": "1" * 64, "size_bytes": 100, "create": {}}
    token = {"authorization": f"Bearer {scene.hub.token}"}
    assert admin.post("/admin/begun/push/presign", json=request, headers=token).status_code == 200
    text = words(get(admin, "/admin/begun"))
    assert "Nothing here yet" in text
    assert f"muse remote add origin {scene.url}/admin/begun" in text
    for page in ("branches", "tags", "pushes", "insights"):
        get(admin, f"/admin/begun/{page}")
    get(admin, "/admin/begun/commits/main", status=404)
