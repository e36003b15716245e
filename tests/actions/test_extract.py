"""From a mapping to a plan, and from what was found to a model; refusals name the field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field, field_validator

from lifecycle import InvalidConfig
from lifecycle.client.extract import Unfit, filled, plan


class Price(BaseModel):
    amount: float = Field(alias="Amount")
    currency: str | None = None


class Product(BaseModel):
    name: str
    price: Price
    tags: list[str] = []
    more: tuple[Price, ...] | None = None

    @field_validator("name")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 20:
            raise ValueError(f"{value} is too long")
        return value


class Unfinished(BaseModel):
    lamp: NowhereDefined  # type: ignore[name-defined] # noqa: F821 # pyright: ignore[reportUndefinedVariable]


FIELDS: dict[str, Any] = {
    "name": " h2 ",
    "price": ("span.price", {"amount": "@data-amount", "currency": ""}),
    "tags": "li.tag@title",
    "more": (".more", {"amount": 'b[title="a@b"]'}),
}


def test_a_plan_is_plain_data() -> None:
    assert plan(Product, FIELDS) == {
        "name": {"selector": "h2", "attribute": None, "many": False},
        "price": {
            "selector": "span.price",
            "many": False,
            "fields": {
                "amount": {"selector": "", "attribute": "data-amount", "many": False},
                "currency": {"selector": "", "attribute": None, "many": False},
            },
        },
        "tags": {"selector": "li.tag", "attribute": "title", "many": True},
        "more": {
            "selector": ".more",
            "many": True,
            "fields": {"amount": {"selector": 'b[title="a@b"]', "attribute": None, "many": False}},
        },
    }


WRONG: list[tuple[Any, Any, str, str]] = [
    (dict, {}, "response_format", "pydantic model"),
    (Price(Amount=1), {}, "response_format", "pydantic model"),
    (Unfinished, {"lamp": "b"}, "response_format", "annotations that can't be resolved"),
    (Product, "h2", "fields", "must map the fields of Product"),
    (Product, {"nam": "h2"}, "fields", "Product has no such field; it has name, price, tags, more"),
    (Product, {"name": "h2"}, "fields", "Product needs this field"),
    (Product, {**FIELDS, "name": 3}, "fields.name", "must be a CSS selector"),
    (Product, {**FIELDS, "price": "span"}, "fields.price", "a nested model needs a pair"),
    (Product, {**FIELDS, "price": ("span", {})}, "fields.price", "Price needs this field"),
    (Product, {**FIELDS, "price": ("span",)}, "fields.price", "must be a CSS selector"),
    (Product, {**FIELDS, "name": ("h2", {})}, "response_format", "pydantic model"),
]


@pytest.mark.parametrize(("model", "fields", "argument", "allowed"), WRONG)
def test_a_wrong_mapping_is_refused(model: Any, fields: Any, argument: str, allowed: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        plan(model, fields)
    assert refused.value.argument == argument
    assert allowed in str(refused.value)


def test_a_model_is_filled_and_texts_become_what_it_wants() -> None:
    found = {
        "name": "Lamp",
        "price": {"amount": "19.90", "currency": None},
        "tags": ["a", "b"],
        "more": [{"amount": "1"}],
    }
    product = filled(Product, found)
    assert product == Product(name="Lamp", price=Price(Amount=19.9), tags=["a", "b"], more=(Price(Amount=1),))
    assert filled(Product, {"name": "Lamp", "price": {"amount": "1"}}) == Product(name="Lamp", price=Price(Amount=1))


@pytest.mark.parametrize(
    ("found", "message", "summary"),
    [
        ({"name": "Lamp"}, "price: Field required", "the page does not fit Product: price (missing)"),
        (
            {"name": "Lamp", "price": {"amount": "cheap"}},
            "price.Amount: Input should be a valid number",
            "the page does not fit Product: price.Amount (float_parsing)",
        ),
        (
            {"name": "A lamp that shines on and on", "price": {"amount": "1"}},
            "A lamp that shines on and on is too long",
            "the page does not fit Product: name (value_error)",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_the_summary_holds_nothing_of_the_page(
    found: dict[str, Any], message: str, summary: str
) -> None:
    with pytest.raises(Unfit) as unfit:
        filled(Product, found)
    assert message in unfit.value.message
    assert unfit.value.summary == summary
    assert unfit.value.__context__ is None
