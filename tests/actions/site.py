"""The site that active operations are tried on: forms, files, dialogs, frames, an article, a listing, failures."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from tests.site import Handler

_FORM = """
<form onsubmit="event.preventDefault(); said.textContent = 'sent'">
  <label>Name <input name="name" autocomplete="name"></label>
  <label>Password <input name="password" type="password"></label>
  <input name="email" type="email" placeholder="Your email">
  <label>About <textarea name="about"></textarea></label>
  <label>Born <input name="born" type="date"></label>
  <label>Age <input name="age" type="number"></label>
  <label><input name="terms" type="checkbox"> Terms</label>
  <label><input name="size" type="radio" value="s"> Small</label>
  <label><input name="size" type="radio" value="l"> Large</label>
  <label>Color <select name="color"><option value="r">Red</option><option value="b">Blue</option></select></label>
  <label>Old <input name="old" readonly value="kept"></label>
  <div id="editor" contenteditable role="textbox" aria-label="Notes">draft</div>
  <div role="switch" aria-checked="false" tabindex="0" style="width:9px;height:9px" aria-label="Dark"
    onclick="this.setAttribute('aria-checked', this.getAttribute('aria-checked') !== 'true')"></div>
  <button>Send</button> <button type="button" disabled>Later</button>
</form>
<p id="said"></p>
<label><input type="checkbox" id="flash"> Flash it <input id="times" aria-label="times" size="4"> times</label>
"""

_FILES = """
<input type="file" id="file" aria-label="Report">
<button id="ask" onclick="file.click()">Choose</button>
<p id="chosen"></p><script>file.onchange = () => chosen.textContent = file.files[0].name</script>
<a href="/report" id="report">The report</a>
<a href="/report" id="blank" target="_blank" rel="noopener">In a new tab</a>
<a href="/broken" id="broken">Broken</a> <a href="/endless" id="endless">Endless</a> <button id="none">Nothing</button>
<button id="later" onclick="const tab = window.open(); setTimeout(() => tab.location = '/report', 200)">Later</button>
"""

_DIALOGS = """
<button id="alert" onclick="alert('Look out'); said.textContent = 'went on'">Alert</button>
<button id="confirm" onclick="said.textContent = 'confirm: ' + confirm('Really?')">Confirm</button>
<button id="leave" onclick="window.onbeforeunload = () => 'stay'">Guard</button>
<p id="said"></p>
"""

_POPUPS = """
<a href="/second" target="_blank" id="link">In a new tab</a>
<button id="open" onclick="window.open('/second')">Open</button>
<button id="closes" onclick="window.close()">Close</button>
"""

_FRAMES = """
<h1>Frames</h1>
<iframe src="/inner" title="own"></iframe>
<iframe src="http://localhost:{port}/inner" title="foreign"></iframe>
"""
_INNER = "<button onclick=\"this.textContent = 'Pressed'\">Press</button><input aria-label='Inside'>"

_SHADOW = """
<my-card></my-card>
<script>customElements.define('my-card', class extends HTMLElement { connectedCallback() {
  this.attachShadow({mode: 'open'}).innerHTML = '<h2>In the shadow</h2><button>Buy</button>'
} })</script>
"""

_ELEMENTS = """
<h1>Elements</h1>
<details><summary>More</summary>text</details>
<div onclick="1" style="cursor: pointer">Card <b>one</b></div>
<a href="/second">It's "quoted": yes, [really] # so</a>
<button aria-pressed="true">Bold</button> <button aria-expanded="true">Menu</button>
<div role="tablist"><div role="tab" aria-selected="true">First</div>
<div role="tab" aria-selected="false">Other</div></div>
<input type="checkbox" checked aria-label="On"> <input aria-label="Bad" aria-invalid="true" required>
<button class="same">A</button> <button class="same">B</button>
<button id="remover" onclick="victim.remove()">Remove</button> <button id="victim">Victim</button>
<div style="position: relative"><button id="covered">Covered</button>
<div style="position: absolute; inset: 0"></div></div>
<button style="display: none">Hidden</button>
<button id="renamed" onclick="this.textContent = 'Pause'">Play</button>
"""

_SCROLL = "<h1>Long</h1><div style='height: 5000px'></div><p>the end</p>"
_BOX = "<div style='height: 300px; overflow-y: auto' id='box'><div style='height: 2000px'>in a box</div></div>"

_ARTICLE = """
<header><a href="/">Site</a></header>
<nav><ul><li><a href="/news">News menu</a></li><li><a href="/sport">Sport menu</a></li></ul></nav>
<main><article>
  <h1>The lighthouse keeper's record</h1>
  <p>For forty years the keeper wrote down every ship that passed the point, its course, its flag and its lights, and
  the weather that it met. Nobody had asked for it, and nobody read it until the harbour was surveyed again.</p>
  <p>The surveyors found that the sand had moved by <strong>two hundred metres</strong> since the first entry, which the
  <a href="/charts">charts</a> did not show. What they had taken for errors was the truth about the sea bed.</p>
  <h2>What the record holds</h2>
  <ul><li>eleven thousand ships</li><li>the storm of 1911, hour by hour</li></ul>
  <table><tr><th>Year</th><th>Ships</th></tr><tr><td>1910</td><td>271</td></tr></table>
  <img src="/lamp.png" alt="The lamp" width="20" height="20">
  <p>The record is kept in the town's archive now, where it may be read on weekdays. It ends in the middle of a
  sentence, on the day when the light was made automatic and the keeper was sent home.</p>
</article></main>
<aside><p>Subscribe to our newsletter</p></aside>
<div style="display: none">Cookie banner</div>
<footer><p>Imprint and privacy</p></footer>
"""

_LISTING = """
<nav><a href="/">Menu</a></nav>
<h1>Lamps</h1>
<ul class="products">
  <li class="product"><h2>Desk lamp</h2><span class="price" data-amount="19.90">19.90 EUR</span>
    <a href="/lamps/1">Details</a><span class="tag">new</span><span class="tag">small</span></li>
  <li class="product"><h2>Floor lamp</h2><span class="price" data-amount="89">89 EUR</span>
    <a href="/lamps/2">Details</a></li>
  <li class="product"><h2>Lantern</h2><span class="price" data-amount="34.50">34.50 EUR</span>
    <a href="/lamps/3">Details</a><span class="tag">sale</span></li>
</ul>
<footer>Imprint</footer>
"""

PAGES = {
    "/": '<h1>Welcome</h1><a href="/second">second</a>',
    "/second": '<h1>Second</h1><a href="/">first</a>',
    "/form": _FORM,
    "/files": _FILES,
    "/dialogs": _DIALOGS,
    "/popups": _POPUPS,
    "/frames": _FRAMES,
    "/inner": _INNER,
    "/shadow": _SHADOW,
    "/elements": _ELEMENTS,
    "/long": _SCROLL,
    "/box": _BOX,
    "/article": _ARTICLE,
    "/listing": _LISTING,
    "/hangs": '<button id="hang" onclick="while (true);">Hang</button>',
    "/leads-nowhere": '<a href="/never" id="never">Never</a>',
}


class Pages(Handler):
    """The site's answers."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        match path:
            case "/never":
                self.wait_for_ever()
            case "/report":
                self._answer(b"all is well", "application/octet-stream", 'attachment; filename="report.txt"')
            case "/broken":
                self._answer(b"x" * 1000, "application/octet-stream", "attachment; filename=broken.bin", promised=9999)
                self.close_connection = True
            case "/endless":
                self._answer(b"x" * 1000, "application/octet-stream", "attachment; filename=endless", promised=9999)
                self.wait_for_ever()
            case _:
                _, port = self.connection.getsockname()
                body = PAGES.get(path, "").replace("{port}", str(port))
                page = (
                    f"<!doctype html><html lang=en><meta charset=utf-8><title>{path}</title><body>{body}</body></html>"
                )
                self._answer(page.encode(), "text/html; charset=utf-8", status=200 if path in PAGES else 404)

    def _answer(
        self, body: bytes, kind: str, disposition: str | None = None, *, promised: int | None = None, status: int = 200
    ) -> None:
        with contextlib.suppress(ConnectionError):  # the browser may be gone by now
            self.send_response(status)
            self.send_header("Content-Type", kind)
            if disposition:
                self.send_header("Content-Disposition", disposition)
            self.send_header("Content-Length", str(len(body) if promised is None else promised))
            self.end_headers()
            self.wfile.write(body)
