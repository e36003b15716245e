"""What scrape() takes from real pages: what is visible, with whole URLs, as Markdown; or a model."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from lifecycle import ActionFailed
from tests.actions.twins import Twin

pytestmark = pytest.mark.browser


class Lamp(BaseModel):
    name: str
    price: float
    details: str
    tags: list[str] = []


class Listing(BaseModel):
    title: str
    lamps: list[Lamp]
    first: str | None = None


FIELDS: dict[str, Any] = {
    "title": "h1",
    "lamps": ("li.product", {"name": "h2", "price": ".price@data-amount", "details": "a@href", "tags": ".tag"}),
}


def test_a_page_as_markdown(twin: Twin) -> None:
    twin.goto("/article")
    text = twin.scrape()
    assert f"[charts]({twin.site}/charts)" in text
    assert "# The lighthouse keeper's record" in text
    assert "Imprint and privacy" in text
    assert "Cookie banner" not in text  # it is not shown
    assert "lamp.png" not in text
    assert f"![The lamp]({twin.site}/lamp.png)" in twin.scrape(scrape_images=True)
    event = twin.last()
    assert (event.kind, event.ok, event.target) == ("scrape", True, None)


def test_only_the_content(twin: Twin) -> None:
    twin.goto("/article")
    text = twin.do("scrape", only_main_content=True, scrape_links=False)
    assert "eleven thousand ships" in text
    assert "charts" in text
    for noise in ("Imprint", "newsletter", "Sport menu", "Cookie banner", twin.site):
        assert noise not in text


def test_one_element(twin: Twin) -> None:
    twin.goto("/article")
    assert twin.scrape(selector="h2") == "## What the record holds"
    assert twin.last().target == "h2"
    with pytest.raises(ActionFailed) as failed:
        twin.scrape(selector="p")
    assert failed.value.result.reason == "ambiguous"
    with pytest.raises(ActionFailed) as failed:
        twin.scrape(selector=".none", timeout=200)
    assert failed.value.result.reason == "not_found"


def test_frames_and_shadows_in_their_place_and_nothing_that_was_typed(twin: Twin) -> None:
    twin.goto("/frames")
    assert twin.scrape() == "# Frames\n\nPress"  # the frame of the same origin
    twin.goto("/shadow")
    assert twin.scrape() == "## In the shadow\n\nBuy"
    twin.goto("/form")
    twin.do("fill", selector="[name=about]", value="hunter2!")
    twin.do("fill", selector="[name=name]", value="hunter2!")
    text = twin.scrape()
    assert "Name" in text
    assert "hunter2!" not in text


def test_a_model_from_selectors(twin: Twin) -> None:
    twin.goto("/listing")
    listing = twin.scrape(response_format=Listing, fields=FIELDS)
    assert listing == Listing(
        title="Lamps",
        lamps=[
            Lamp(name="Desk lamp", price=19.9, details=f"{twin.site}/lamps/1", tags=["new", "small"]),
            Lamp(name="Floor lamp", price=89, details=f"{twin.site}/lamps/2"),
            Lamp(name="Lantern", price=34.5, details=f"{twin.site}/lamps/3", tags=["sale"]),
        ],
    )
    one = {"name": "h2", "price": ".price@data-amount", "details": "a@href", "tags": ".tag"}
    floor = twin.scrape(response_format=Lamp, fields=one, selector="li:nth-child(2)")
    assert floor == listing.lamps[1]


@pytest.mark.parametrize(
    ("fields", "reason", "says"),
    [
        ({**FIELDS, "title": "h2"}, "ambiguous", "the selector of 'title' matches 3 elements"),
        ({**FIELDS, "title": "h6"}, "mismatch", "title: Field required"),
        ({**FIELDS, "title": "<<"}, "invalid", "the selector of 'title' is not valid CSS"),
        (
            {**FIELDS, "lamps": ("li.product", {"name": "h2", "price": ".price", "details": "a"})},
            "mismatch",
            "lamps.0.price",
        ),
    ],
)
def test_what_can_not_be_filled_is_named(twin: Twin, fields: dict[str, Any], reason: str, says: str) -> None:
    twin.goto("/listing")
    with pytest.raises(ActionFailed) as failed:
        twin.scrape(response_format=Listing, fields=fields)
    result = failed.value.result
    assert result.reason == reason
    assert says in result.message
    event = twin.last()
    assert (event.kind, event.ok, event.error_type) == ("scrape", False, reason)
    assert "19.90" not in str(event.error_message)
