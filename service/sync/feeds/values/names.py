"""Maps spellings of standard names to fields: `Image Link`, `imageLink` and `image_link (required)` are the same
field.

All other names are converted to lower case.
"""

from __future__ import annotations

import re
import unicodedata

from service.sync.feeds.values.currencies import CODES

IDS = (
    "id", "record_id", "sku", "item_id", "guid", "offer_id", "unique_id", "product_code", "product_sku", "item_number",
    "article_number", "artikelnummer", "variant_sku", "item_sku", "merchant_product_id", "aw_product_id",
    "source_product_id", "product_number", "order_number", "internal_variant_id", "custom_label", "merchant_sku",
    "unique_merchant_sku", "listing_id", "object_id", "codice", "identifiant_unique", "handle",
)  # fmt: skip
PRODUCT_IDS = ("item_group_id", "product_id", "group_id", "parent_id", "parent_sku", "item_group")
# Best first: a name is used only if no earlier one is there.
PICTURES = (
    "image_link", "image", "images", "image_url", "image_urls", "image_links", "picture", "pictures", "picture_url",
    "photo",
    "photos", "photo_url", "image[0].url", "image_src", "img", "img_url", "imgurl", "main_image", "main_image_url",
    "base_image", "primary_image", "product_image", "product_image_url", "featured_image", "large_image", "image_file",
    "merchant_image_url", "aw_image_url", "media_image", "cover_media_url", "cover_image",
    "cover_image_url", "hosted_image_urls", "item_photo_url", "pic_url", "product_media_main_image_url",
    "foto", "fotos",
    "url_image", "imagen", "immagine", "afbeelding", "zdjecie", "url_fullxfull", "imgs",
 "thumbnail", "thumbnail_url", "small_image",
)  # fmt: skip
# `url` is the product's page if a feed has another field that certainly holds pictures.
PAGE_OR_PICTURE = "url"
MORE_PICTURES = (
    "additional_image_link", "additional_image_links", "additional_images", "additional_image", "additional_image_url",
    "additional_image_urls", "more_images", "extra_images", "other_images", "gallery", "gallery_images",
    "media_gallery",
    "alternate_images", "alternate_image", "alternate_image_two", "alternate_image_three", "alternate_image_four",
    "imgurl_alternative", "media_url", "media_urls",
)  # fmt: skip
PRICES = (
    "price", "sale_price", "regular_price", "compare_at_price", "old_price", "list_price", "special_price", "msrp",
)  # fmt: skip
TAGS = ("tags", "product_tags")
# Often written as numbers, but the digits are a name: kept as text, as written.
IDENTIFIERS = frozenset(
    {
        *IDS, *PRODUCT_IDS, "gtin", "gtin8", "gtin12", "gtin13", "gtin14", "ean", "ean13", "upc", "isbn", "jan",
        "asin", "mpn",
        "barcode", "zip", "postcode", "postal_code", "phone", "taric", "hs_code", "supplier_id", "model_number",
    }
)  # fmt: skip
_IDENTIFIER = re.compile(r".*_(id|sku|gtin|ean|upc|isbn|mpn|code|number|no)")
# Long or personal fields, and those useless for filtering, need a mapping.
NOT_USUAL = frozenset(
    {"description", "rich_text_description", "deleted", "attributes", "summary", "content", "tax", "shipping"}
)
_OTHERS = """
    title link mobile_link availability availability_date brand condition color size material pattern gender age_group
    size_type size_system google_product_category product_type custom_label_0 custom_label_1 custom_label_2
    custom_label_3 custom_label_4 identifier_exists is_bundle adult energy_efficiency_class unit_pricing_measure
    sale_price_effective_date price_currency currency vendor name
"""
INDEXED_PICTURE = re.compile(r"image\[[1-9]\d?\]\.url")
_NUMBERED_PICTURE = re.compile(
    r"(?:product|item|additional|main|alt|other|url)?(?:image|picture|photo|img|bild|foto|imagen|immagine|afbeelding)(?:link|url|src|file)?s?[\[(]?(\d{1,2})[\])]?"
    r"(?:url|link|src|file)?"
)
_INDEXED = re.compile(r"(.+?)\[(\d{0,3})\](?:\.(?:tag|value|name))?")
_ASIDE = re.compile(r"[(\[{]([^)\]}]*)[)\]}]")
_NOT_WORD = re.compile(r"[\W_]+")
_UNSEEN = re.compile("[\u200b-\u200f\u2060\ufeff\x00-\x1f]")
_FIELD_REMARKS = frozenset({"required", "optional", "recommended", "text", "string", "html", "number", "url", "urls"})
_MAX_KNOWN = 10_000
_LONG_NAME = 128  # characters


def _squash(name: str) -> str:
    return _NOT_WORD.sub("", name)


_STANDARD = {
    _squash(n): n
    for n in (*_OTHERS.split(), *NOT_USUAL, *IDENTIFIERS, *TAGS, *PRICES, *MORE_PICTURES, *PICTURES, *PRODUCT_IDS, *IDS)
}
_STANDARD |= {"productcodesku": "product_code", "bild": "image", "bildurl": "image_url", "artikelnr": "artikelnummer"}
_FIELDS = frozenset(_STANDARD.values())
_IMPORTANT = frozenset({*IDS, *PRODUCT_IDS, *PICTURES, *MORE_PICTURES})


class FieldNames:
    """Maps written names to fields and back, for one feed."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}  # written name -> field
        self.written: dict[str, str] = {}
        self.exact: frozenset[str] = frozenset()  # fields whose numbers must be preserved as written

    def field(self, name: str) -> str:
        """The field for a name. Equal fields have equal names."""
        found = self.known.get(name)
        if found is None:
            found = field_name(name)
            if len(name) <= _LONG_NAME and len(self.known) < _MAX_KNOWN:
                self.known[name] = found
                self.written.setdefault(found, name.strip())
        return found


def field_name(name: str) -> str:
    """The standard name for a header, or the header in lower case. `tags[]` and `tags[0]` become `tags[]`."""
    text = " ".join(_UNSEEN.sub("", unicodedata.normalize("NFKC", name[: 4 * _LONG_NAME])).split()).strip("'\" #*")
    lower = text.lower().removeprefix("g:")
    if INDEXED_PICTURE.fullmatch(lower) or lower == "image[0].url":
        return lower
    squashed = _squash(lower)
    found = _STANDARD.get(squashed) or _without_remark(lower)
    if found:
        return found
    numbered = _NUMBERED_PICTURE.fullmatch(squashed)
    if numbered:
        return f"image[{int(numbered[1])}].url" if int(numbered[1]) else "image[0].url"
    indexed = _INDEXED.fullmatch(lower)
    if indexed and indexed[1].strip():
        base = field_name(indexed[1])
        return base if base in _IMPORTANT else f"{base}[]"
    return lower


def header_currency(name: str) -> str:
    """The currency in a header such as `Price (EUR)`; empty if there is none."""
    aside = _ASIDE.search(name)
    code = aside[1].strip().upper() if aside else ""
    return code if code in CODES else ""


def is_picture(field: str) -> bool:
    """Whether a field certainly holds pictures (`url` does not count)."""
    return field in PICTURES or field in MORE_PICTURES or INDEXED_PICTURE.fullmatch(field) is not None


def is_standard(field: str) -> bool:
    """Whether many feeds use this name."""
    return field == PAGE_OR_PICTURE or field in _FIELDS or is_picture(field)


def is_identifier(field: str) -> bool:
    """Whether the digits of a field are an identifier rather than a number."""
    return field in IDENTIFIERS or _IDENTIFIER.fullmatch(field) is not None


def looks_like_an_item(fields: set[str] | frozenset[str], own: frozenset[str] = frozenset()) -> bool:
    """Whether these fields belong to an item: an id, and a picture, title or price.

    `own`: fields that the mapping names.
    """
    has_id = any(f in IDS or f in PRODUCT_IDS or f in own for f in fields)
    return has_id and any(is_picture(f) or f in ("title", "name", "price") or f in own for f in fields)


def _without_remark(lower: str) -> str:
    """The standard name without a remark in parentheses, if the remark is irrelevant."""
    aside = _ASIDE.search(lower)
    if aside is None:
        return ""
    found = _STANDARD.get(_squash(_ASIDE.sub(" ", lower)), "")
    said = {w.strip() for w in re.split(r"[\s,;/]+", aside[1])}
    of_no_importance = bool(said) and said <= _FIELD_REMARKS
    if found in _IMPORTANT and not aside[1].strip().isdigit() and aside[1].strip():
        return found
    return found if of_no_importance or (found in PRICES and aside[1].strip().upper() in CODES) else ""
